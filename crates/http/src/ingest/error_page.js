// Asks what happened, after a crash, and sends the answer to where this script came from. Everything that the page
// that shows it may decide stands in the script's address: dsn, eventId, name, email, and the texts below.
(function () {
  "use strict";
  var script = document.currentScript;
  if (!script) return;
  var address = new URL(script.src);
  var told = function (name, otherwise) { return address.searchParams.get(name) || otherwise; };
  var element = function (tag, styles, text) {
    var made = document.createElement(tag);
    for (var name in styles) made.style[name] = styles[name];
    if (text) made.textContent = text;
    return made;
  };

  var shade = element("div", {
    position: "fixed", inset: "0", zIndex: "2147483647", background: "rgba(20,20,24,.55)", display: "flex",
    alignItems: "center", justifyContent: "center", font: "15px/1.5 system-ui,sans-serif"
  });
  shade.setAttribute("role", "dialog");
  shade.setAttribute("aria-modal", "true");
  shade.setAttribute("aria-label", told("title", "What happened?"));
  var form = element("form", {
    background: "#fff", color: "#1d1d22", padding: "24px", borderRadius: "8px", width: "min(480px,92vw)",
    maxHeight: "92vh", overflow: "auto", boxSizing: "border-box"
  });
  form.appendChild(element("h2", { margin: "0 0 4px", fontSize: "19px" }, told("title", "It looks like something broke.")));
  form.appendChild(element("p", { margin: "0 0 12px", color: "#55555f" },
    told("subtitle", "Our team has been told.") + " " + told("subtitle2", "If you would like to help, say what happened below.")));

  var field = function (tag, name, label, required) {
    var holder = element("label", { display: "block", margin: "0 0 12px" }, label);
    var input = element(tag, {
      display: "block", width: "100%", boxSizing: "border-box", padding: "8px", font: "inherit", color: "inherit",
      background: "#fff", border: "1px solid #b9b9c3", borderRadius: "6px"
    });
    input.name = name;
    input.required = required;
    if (tag === "textarea") { input.rows = 5; input.maxLength = 4096; } else { input.maxLength = 254; }
    holder.appendChild(input);
    form.appendChild(holder);
    return input;
  };
  var name = field("input", "name", told("labelName", "Name"), false);
  name.value = told("name", "");
  var email = field("input", "email", told("labelEmail", "E-mail"), false);
  email.type = "email";
  email.value = told("email", "");
  var comments = field("textarea", "comments", told("labelComments", "What happened?"), true);
  var status = element("p", { margin: "0 0 12px", color: "#a3261a" });
  status.setAttribute("role", "status");
  form.appendChild(status);

  var button = function (label, kind, colours) {
    var made = element("button", {
      padding: "8px 14px", font: "inherit", borderRadius: "6px", border: "1px solid #b9b9c3", marginRight: "8px",
      background: colours[0], color: colours[1], cursor: "pointer"
    }, label);
    made.type = kind;
    form.appendChild(made);
    return made;
  };
  var submit = button(told("labelSubmit", "Send"), "submit", ["#2f3fb8", "#fff"]);
  var close = button(told("labelClose", "Close"), "button", ["#fff", "#1d1d22"]);
  var end = function () {
    shade.remove();
    document.removeEventListener("keydown", onKey);
  };
  var onKey = function (event) { if (event.key === "Escape") end(); };
  close.addEventListener("click", end);
  document.addEventListener("keydown", onKey);

  form.addEventListener("submit", function (event) {
    event.preventDefault();
    submit.disabled = true;
    var target = new URL(address.origin + address.pathname);
    ["dsn", "eventId"].forEach(function (key) { target.searchParams.set(key, told(key, "")); });
    var body = new URLSearchParams({ name: name.value, email: email.value, comments: comments.value });
    fetch(target, { method: "POST", body: body }).then(function (answer) {
      if (!answer.ok) throw new Error(String(answer.status));
      form.replaceChildren(element("p", { margin: "0" }, told("successMessage", "Thank you. Your words have been sent.")));
      form.appendChild(close);
      close.focus();
    }).catch(function () {
      submit.disabled = false;
      status.textContent = told("errorGeneric", "That could not be sent. Please try again.");
    });
  });
  shade.appendChild(form);
  document.body.appendChild(shade);
  comments.focus();
})();
