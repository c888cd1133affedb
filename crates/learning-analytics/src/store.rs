//! All statements of the slice. States are loaded, changed in memory and saved, for a whole batch at once.

mod declared;
mod facts;
mod listing;
mod participants;
mod presence;
mod sheet;
mod sql;
mod struggling;
mod tables;
mod waiting;

pub(crate) use declared::{
    find_rules, find_structure, list_structures, load_structures, lock_project, save_rules, save_structure,
};
pub(crate) use facts::{
    NewFlag, StoredMilestone, add_items, clear_flags, give_feedback, insert_flags, load_completions,
    load_counts, load_milestones, load_open_flags, load_unhinted, replace_milestones, subtract_items,
};
pub(crate) use listing::{
    RESPONSES_MAX, count_feedback, count_stopped, list_course_items, list_courses, list_flags, list_flags_of,
    list_learners, list_milestones, list_responses, list_skills_of, list_tried, read_course, read_learner,
    read_lessons, read_places,
};
pub(crate) use participants::{read_participants, read_tests};
pub(crate) use presence::read_presence;
pub(crate) use sheet::{count_subject, erase_subject, load_sheet, read_sheet, replace_subject, save_sheet};
pub(crate) use struggling::count_struggling;
pub(crate) use waiting::{
    PROJECTS_MAX, Waiting, change_waiting, count_tries, count_waiting, delete_waiting, insert_waiting,
    list_due, list_waiting_of, list_waiting_projects, postpone_waiting,
};
