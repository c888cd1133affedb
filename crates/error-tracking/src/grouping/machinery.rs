use super::frame::Line;

/// Functions that abort, raise, throw or report on behalf of the code that failed.
const NAMES: [&str; 96] = [
    // C and POSIX
    "abort",
    "__abort",
    "__GI_abort",
    "raise",
    "__GI_raise",
    "gsignal",
    "kill",
    "__kill",
    "tgkill",
    "pthread_kill",
    "__pthread_kill",
    "__pthread_kill_implementation",
    "__pthread_kill_internal",
    "__GI___pthread_kill",
    "__assert",
    "__assert2",
    "__assert_fail",
    "__assert_fail_base",
    "__assert_perror_fail",
    "__assert_rtn",
    "__libc_fatal",
    "__libc_message",
    "malloc_printerr",
    "__fortify_fail",
    "__fortify_fail_abort",
    "__chk_fail",
    "__stack_chk_fail",
    // C++
    "std::terminate",
    "std::__terminate",
    "std::__glibcxx_assert_fail",
    "std::__libcpp_verbose_abort",
    "__cxxabiv1::__terminate",
    "__cxxabiv1::failed_throw",
    "__gnu_cxx::__verbose_terminate_handler",
    "__cxa_throw",
    "__cxa_rethrow",
    "__cxa_bad_cast",
    "__cxa_pure_virtual",
    "_Unwind_RaiseException",
    "_Unwind_Resume",
    "abort_message",
    "demangling_terminate_handler",
    "google::LogMessage::Fail",
    "google::LogMessage::Flush",
    "google::LogMessage::SendToLog",
    "google::LogMessageFatal::~LogMessageFatal",
    "logging::LogMessage::~LogMessage",
    // Android
    "__android_log_assert",
    "art::Runtime::Abort",
    "android::base::LogMessage::~LogMessage",
    // Objective-C and Swift
    "objc_exception_throw",
    "objc_exception_rethrow",
    "objc_terminate",
    "_objc_terminate",
    "__exceptionPreprocess",
    "_CFThrowFormattedException",
    "-[NSException raise]",
    "+[NSException raise:format:]",
    "+[NSException raise:format:arguments:]",
    "_assertionFailure",
    "Swift._assertionFailure",
    "Swift._fatalErrorMessage",
    "Swift.fatalError",
    "swift::fatalError",
    "swift_unexpectedError",
    "_swift_runtime_on_report",
    // Windows
    "RaiseException",
    "RaiseFailFastException",
    "NtRaiseException",
    "RtlRaiseException",
    "RtlRaiseStatus",
    "RtlFailFast",
    "RtlDispatchException",
    "RtlpExecuteHandlerForException",
    "UnhandledExceptionFilter",
    "_CxxThrowException",
    "__CxxFrameHandler3",
    "__CxxFrameHandler4",
    "_invoke_watson",
    "_invalid_parameter",
    "_invalid_parameter_noinfo",
    "_invalid_parameter_noinfo_noreturn",
    "__report_gsfailure",
    "__fastfail",
    "_purecall",
    "terminate",
    "DebugBreak",
    "DbgBreakPoint",
    // Rust
    "rust_begin_unwind",
    "rust_panic",
    "std::process::abort",
    "core::result::unwrap_failed",
    "core::option::Option::unwrap",
    "core::option::Option::expect",
    "core::result::Result::unwrap",
    "core::result::Result::expect",
];

/// Beginnings of names of such functions.
const PREFIXES: [&str; 19] = [
    "core::panicking::",
    "std::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::slice::index::",
    "core::str::slice_error_fail",
    "alloc::alloc::handle_alloc_error",
    "alloc::raw_vec::capacity_overflow",
    "__rust_",
    "_rust_",
    // Go
    "runtime.",
    "std::sys::backtrace::__rust_",
    "std::sys_common::backtrace::__rust_",
    "sentry_panic::",
    "std::__throw_",
    "absl::log_internal::LogMessage",
    "-[NSAssertionHandler handleFailure",
    "__asan_",
    "__ubsan_",
];

/// Where a signal or an exception of the processor begins: what lies further in is its handler.
const TRAMPOLINES: [&str; 6] = [
    "_sigtramp",
    "__restore_rt",
    "__kernel_rt_sigreturn",
    "<signal handler called>",
    "KiUserExceptionDispatcher",
    "KiUserExceptionDispatch",
];

/// Takes the machinery away from the inner end, so that what called it stands there; says how much that was. A trace
/// that is nothing else stays as it is.
pub(super) fn without_machinery(lines: &mut Vec<Line>) -> usize {
    let trampoline = lines.iter().position(|line| line.native.as_deref().is_some_and(is_trampoline));
    let mut length = trampoline.filter(|at| *at > 0).unwrap_or(lines.len());
    while length > 0 && lines[length - 1].native.as_deref().is_some_and(is_machinery) {
        length -= 1;
    }
    if length == 0 {
        return 0;
    }
    let left_out = lines.len() - length;
    lines.truncate(length);
    left_out
}

/// Whether a function of this cleaned name does no more than abort or throw.
fn is_machinery(function: &str) -> bool {
    NAMES.contains(&function) || PREFIXES.iter().any(|prefix| function.starts_with(prefix))
}

/// Whether what lies further in than this function handles a signal.
fn is_trampoline(function: &str) -> bool {
    TRAMPOLINES.contains(&function)
}
