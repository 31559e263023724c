//! Work on a channel that one alone does at a time. Whoever finds the role taken leaves what there
//! is to do to its holder, who looks again, under the channel's lock, before giving the role up.

use std::marker::PhantomData;

/// A role that is free, or that somebody has.
#[derive(Debug)]
pub(super) struct Role<Kind> {
    is_taken: bool,
    kind: PhantomData<Kind>,
}

/// Having a role, until it is [given up](Role::give_up): whoever has this owes the work. It is no
/// bytes long, and says by its type alone who still has what.
#[must_use = "a role that is dropped is taken for ever"]
#[derive(Debug)]
pub(super) struct Holding<Kind>(PhantomData<Kind>);

/// The role of delivering what is ready.
#[derive(Debug)]
pub(super) enum Delivering {}

/// The role of storing what is unsaved.
#[derive(Debug)]
pub(super) enum Storing {}

impl<Kind> Role<Kind> {
    pub(super) fn free() -> Self {
        Self { is_taken: false, kind: PhantomData }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Takes the role if it is free.
    pub(super) fn take(&mut self) -> Option<Holding<Kind>> {
        (!std::mem::replace(&mut self.is_taken, true)).then_some(Holding(PhantomData))
    }

    /// Gives the role up, so that the next who finds something to do takes it.
    pub(super) fn give_up(&mut self, _held: Holding<Kind>) {
        self.is_taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_has_a_role_until_it_is_given_up() {
        let mut role = Role::<Delivering>::free();
        assert!(!role.is_taken());
        let held = role.take().unwrap();
        assert!(role.is_taken() && role.take().is_none());
        role.give_up(held);
        assert!(!role.is_taken() && role.take().is_some());
    }
}
