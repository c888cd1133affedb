//! Which event serves which step, where several could.

/// Events matched with steps one by one, each event with at most one step and the other way round.
///
/// It grows by augmenting paths (Kuhn, 1955): an event for which there is none now will never be of use.
pub(crate) struct Matching {
    /// The steps that each matched event can serve.
    masks: Vec<u32>,
    /// The event that serves each step.
    served: Vec<Option<usize>>,
}

impl Matching {
    pub(crate) fn new(steps: usize) -> Self {
        Self { masks: Vec::with_capacity(steps), served: vec![None; steps] }
    }

    /// Whether one more step is served with this event.
    pub(crate) fn add(&mut self, mask: u32) -> bool {
        self.masks.push(mask);
        let is_served = self.place(self.masks.len() - 1, &mut 0);
        if !is_served {
            self.masks.pop();
        }
        is_served
    }

    /// Finds a step for an event, moving others to other steps where needed; `tried` has a bit per step.
    fn place(&mut self, event: usize, tried: &mut u32) -> bool {
        loop {
            let left = self.masks[event] & !*tried;
            if left == 0 {
                return false;
            }
            let step = left.trailing_zeros() as usize;
            *tried |= 1 << step;
            if self.served[step].is_none_or(|other| self.place(other, tried)) {
                self.served[step] = Some(event);
                return true;
            }
        }
    }
}
