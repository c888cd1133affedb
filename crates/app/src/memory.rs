//! How much memory there is to keep things in.

/// What every machine is taken to have room for, in bytes.
const CACHE_BYTES_MIN: u64 = 256 << 20;
/// What one cache takes at most unless the configuration says more, in bytes.
const CACHE_BYTES_MAX: u64 = 2 << 30;
/// A cache gets this part of the memory.
const CACHE_PART: u64 = 16;

/// How much decoded events may take where the configuration does not say: a sixteenth of the machine's memory, or of what
/// its container may use, 256 MiB to 2 GiB; 256 MiB where neither can be told.
pub(crate) fn default_cache_bytes() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = total_of(&read("/proc/meminfo"));
    let container = limit_of(&read("/sys/fs/cgroup/memory.max"));
    cache_bytes([machine, container].into_iter().flatten().min())
}

fn cache_bytes(memory: Option<u64>) -> usize {
    let part = memory.map_or(0, |memory| memory / CACHE_PART);
    usize::try_from(part.clamp(CACHE_BYTES_MIN, CACHE_BYTES_MAX)).unwrap_or(usize::MAX)
}

/// The line `MemTotal: 24689012 kB` of `/proc/meminfo` (proc(5)), in bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// `memory.max` of a control group (cgroups(7), version 2): bytes, or `max`.
fn limit_of(memory_max: &str) -> Option<u64> {
    memory_max.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_gets_its_part_of_the_smaller_of_machine_and_container() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:       16777216 kB\n"), Some(16 << 30));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert_eq!((limit_of("max\n"), limit_of("8589934592\n")), (None, Some(8 << 30)));
        for (memory, bytes) in [
            (None, 256 << 20),
            (Some(1 << 30), 256 << 20),
            (Some(8 << 30), 512 << 20),
            (Some(1 << 40), 2 << 30),
        ] {
            assert_eq!(cache_bytes(memory), bytes, "{memory:?}");
        }
    }
}
