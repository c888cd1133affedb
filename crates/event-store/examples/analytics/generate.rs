//! Events of a learning product: everything about an event follows from its number.

use belvedere_event_store::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

/// People; the most active ones have thousands of events, most have a few.
const SUBJECTS: f64 = 500_000.0;
/// How flat the law of Zipf and Mandelbrot is at its head: frequency falls as 1 / (rank + this).
const HEAD: f64 = 50.0;
const DAYS: i64 = 180;
const DAY_MICROS: i64 = 86_400_000_000;
const COURSES: f64 = 400.0;

/// The name of rank `n` is `n` times rarer than the first.
const NAMES: [&str; 40] = [
    "page_viewed",
    "lesson_viewed",
    "exercise_answered",
    "course_viewed",
    "video_played",
    "lesson_started",
    "hint_shown",
    "note_taken",
    "lesson_completed",
    "video_watched",
    "search_made",
    "quiz_started",
    "quiz_submitted",
    "forum_read",
    "material_downloaded",
    "course_started",
    "badge_earned",
    "streak_extended",
    "forum_posted",
    "course_completed",
    "feedback_given",
    "reminder_opened",
    "profile_edited",
    "plan_viewed",
    "invite_sent",
    "signed_in",
    "signed_out",
    "password_reset",
    "checkout_started",
    "checkout_completed",
    "certificate_viewed",
    "certificate_shared",
    "tutor_asked",
    "tutor_answered",
    "group_joined",
    "group_left",
    "live_joined",
    "live_left",
    "error_seen",
    "account_closed",
];

/// Everything before this index of [`NAMES`] happens in a course, and what follows now and then.
const IN_COURSE: usize = 20;

/// The names of events that the pages of the business read; the name of rank `n` is `n` times rarer than the first.
const PRODUCT_NAMES: [&str; 16] = [
    "page_view",
    "lesson_start",
    "exercise_attempt",
    "Feature Used",
    "lesson_complete",
    "hint_used",
    "video_progress",
    "Search Used",
    "course_enrol",
    "error",
    "Signed Up",
    "tutor_message",
    "course_complete",
    "Trial Started",
    "Invite Sent",
    "Subscription Started",
];

/// Of what product the events are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// A course platform with names of its own.
    Platform,
    /// One whose names the pages of the business know.
    Known,
}

impl Product {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Platform => &NAMES,
            Self::Known => &PRODUCT_NAMES,
        }
    }
}

/// Numbers that look random and are the same in every run (SplitMix64; Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// From 0 to before 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Makes the events of 180 days.
pub(crate) struct Generator {
    count: u64,
    start_micros: i64,
    product: Product,
    /// Cumulated weights of the names.
    names: Vec<f64>,
}

impl Generator {
    /// So many events before an instant.
    pub(crate) fn new(count: u64, end: Timestamp, product: Product) -> Self {
        let mut sum = 0.0;
        let names = (1..=product.names().len()).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        let start_micros = end.as_micros() - DAYS * DAY_MICROS;
        Self { count, start_micros, product, names: names.collect() }
    }

    /// The event of a number; times rise with numbers but for some minutes, and go on after the last one.
    pub(crate) fn event(&self, number: u64) -> Event {
        let mut numbers = Numbers(number);
        let share = number as f64 / self.count as f64;
        let base = (share * (DAYS * DAY_MICROS) as f64) as i64;
        // The busiest hours come twice as often as the quietest.
        let of_day = base.rem_euclid(DAY_MICROS) as f64 / DAY_MICROS as f64;
        let rhythm = (of_day * std::f64::consts::TAU).sin() * 0.05 * DAY_MICROS as f64;
        let late = numbers.below(600_000_000).cast_signed();
        let micros = (base + rhythm as i64 - late).max(0) + self.start_micros;

        let rank = HEAD * ((SUBJECTS + HEAD) / HEAD).powf(numbers.unit()) - HEAD;
        let subject = (rank as u64 * 7_919 % SUBJECTS as u64).cast_signed() + 1;
        let weight = numbers.unit() * self.names.last().copied().unwrap_or(1.0);
        let all = self.product.names();
        let name = self.names.partition_point(|sum| *sum < weight).min(all.len() - 1);

        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id[8..].copy_from_slice(&numbers.next().to_be_bytes());
        let at = Timestamp::from_micros(micros);
        let mut event = Event::new(id, at, all.get(name).copied().unwrap_or_default());
        event.subject = Some(SubjectId(subject));
        match self.product {
            Product::Platform => self.add_texts(&mut event, name, subject, &mut numbers),
            Product::Known => add_known_texts(&mut event, subject, &mut numbers),
        }
        event
    }

    fn add_texts(&self, event: &mut Event, name: usize, subject: i64, numbers: &mut Numbers) {
        let day = (event.at.as_micros() - self.start_micros) / DAY_MICROS;
        event.session = Some(format!("{subject:x}-{day:x}"));
        if name < IN_COURSE || numbers.below(4) == 0 {
            let unit = numbers.unit();
            let course = (unit * unit * COURSES) as u64;
            event.course = Some(format!("course-{course}"));
            if name < 15 {
                event.lesson = Some(format!("lesson-{}", numbers.below(24)));
            }
        }
        if name == 2 {
            event.exercise = Some(format!("exercise-{}", numbers.below(200)));
            event.value = Some((numbers.unit().sqrt() * 10_000.0).round() / 100.0);
            event.props = format!("{{\"attempt\":{}}}", 1 + numbers.below(4));
        } else if name == 9 {
            event.value = Some(numbers.below(1_800) as f64);
        }
        let of_subject = Numbers(subject.cast_unsigned() ^ 0x5555).next();
        let pick = |from: &[&str], shift: u32| {
            let index = (of_subject >> shift) % from.len() as u64;
            from.get(index as usize).map(|text| (*text).to_owned())
        };
        event.country = pick(&["NL", "DE", "FR", "GB", "US", "PL", "IN", "BR", "ES", "IT", "JP", "SE"], 0);
        event.browser = pick(&["Chrome", "Chrome", "Safari", "Firefox", "Edge"], 8);
        event.os = pick(&["Windows", "macOS", "Android", "iOS", "Linux"], 16);
        event.device = pick(&["desktop", "desktop", "phone", "tablet"], 24);
        event.plan = pick(&["free", "free", "free", "pro", "team"], 32);
        if numbers.below(20) == 0 {
            event.referrer = pick(&["google.com", "bing.com", "news.example", "school.example"], 40);
        }
    }
}

/// What the pages of the business read of an event.
fn add_known_texts(event: &mut Event, subject: i64, numbers: &mut Numbers) {
    let pick =
        |from: &[&str], at: u64| from.get((at % from.len() as u64) as usize).map(|it| (*it).to_owned());
    let unit = numbers.unit();
    let course = Some(format!("course-{}", (unit * unit * 60.0) as u64));
    match event.name.as_str() {
        "page_view" => {
            let page = numbers.below(40);
            let campaign = if numbers.below(10) == 0 { ",\"utm_campaign\":\"autumn\"" } else { "" };
            event.props = format!("{{\"path\":\"/page/{page}\"{campaign}}}");
            match numbers.below(10) {
                0 => event.utm_source = pick(&["newsletter", "youtube", "partner"], numbers.next()),
                1 => event.referrer = pick(&["google.com", "bing.com", "news.example"], numbers.next()),
                _ => {}
            }
        }
        "Feature Used" => {
            let feature = numbers.below(8);
            event.props = format!("{{\"feature\":\"feature-{feature}\"}}");
        }
        "lesson_complete" => {
            event.props = format!("{{\"duration\":{}}}", 60 + numbers.below(900));
            event.course = course;
        }
        "exercise_attempt" | "tutor_message" => {
            let (exercise, day) = (numbers.below(200), event.at.as_micros().div_euclid(DAY_MICROS));
            event.exercise = Some(format!("exercise-{exercise}"));
            event.props = format!(
                "{{\"learning_day\":{day},\"success\":{},\"skills\":[\"skill-{}\"]}}",
                numbers.below(3) > 0,
                exercise % 20
            );
            event.course = course;
        }
        "lesson_start" | "hint_used" | "video_progress" | "course_enrol" | "course_complete" => {
            event.course = course;
        }
        _ => {}
    }
    let of_subject = Numbers(subject.cast_unsigned() ^ 0x5555).next();
    event.country = pick(&["NL", "DE", "FR", "GB", "US", "PL", "IN", "BR"], of_subject);
    event.device = pick(&["desktop", "desktop", "phone", "tablet"], of_subject >> 8);
    event.plan = pick(&["free", "free", "free", "pro", "team"], of_subject >> 16);
}
