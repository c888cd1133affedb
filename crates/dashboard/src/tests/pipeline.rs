use belvedere_accounts::Role;

use super::Site;

#[tokio::test]
async fn the_pipeline_says_which_counts_were_wrong() {
    let site = Site::new(Role::Member);
    let page = site.get("/projects/7/pipeline").await;
    let text = page.text();
    let card = &text[text.find(r#"id="rollups""#).expect("the card of rollups")..];
    for said in [
        "2 counts of 180 days and 10,000,000 events were wrong",
        "1 segment made anew from the events. 1 segment without counts",
        "lesson_opened",
        "course: algebra",
        "41 events of 12 subjects instead of 42 of 12",
        "all days",
        "23 Nov 2026, 12:00:00 UTC",
    ] {
        assert!(card.contains(said), "{said} is missing in {card}");
    }
    assert!(!text.contains("<script>alert"));
    let fragment = site.get("/projects/7/pipeline?fragment=rows").await;
    assert!(fragment.text().contains("course: algebra"));
}
