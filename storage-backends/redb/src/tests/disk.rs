use parking_lot::Mutex;
use redb::StorageBackend;
use std::io;
use std::sync::Arc;

/// A disk in memory with one file on it. Handles share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    /// What a power cut leaves for sure.
    durable: Vec<u8>,
    /// What was written after the last sync; a power cut leaves any of it.
    pending: Vec<Change>,
    /// Both together.
    current: Vec<u8>,
    fault: Option<io::ErrorKind>,
    /// Fails syncs alone.
    sync_fault: Option<io::ErrorKind>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                file.resize(file.len().max(end), 0);
                file[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    /// A disk as it is found after a power cut at this moment: each change that was not synced
    /// is there or not, as `survives` says.
    pub(super) fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Disk {
        let state = self.0.lock();
        let mut file = state.durable.clone();
        for change in &state.pending {
            match change {
                // Without its new length the file has no place for the writes.
                Change::Length(_) => change.apply(&mut file),
                Change::Write(..) if survives() => change.apply(&mut file),
                Change::Write(..) => {}
            }
        }
        Disk(Arc::new(Mutex::new(State {
            durable: file.clone(),
            current: file,
            ..State::default()
        })))
    }

    /// Makes writes and syncs fail, or work again.
    pub(super) fn set_fault(&self, fault: Option<io::ErrorKind>) {
        self.0.lock().fault = fault;
    }

    pub(super) fn set_sync_fault(&self, fault: Option<io::ErrorKind>) {
        self.0.lock().sync_fault = fault;
    }

    /// Overwrites a part of the file.
    pub(super) fn damage(&self, offset: usize, data: &[u8]) {
        let mut state = self.0.lock();
        let end = (offset + data.len()).min(state.current.len());
        let data = &data[..end - offset];
        state.current[offset..end].copy_from_slice(data);
        state.durable = state.current.clone();
        state.pending.clear();
    }

    pub(super) fn truncate(&self, length: usize) {
        let mut state = self.0.lock();
        state.current.truncate(length);
        state.durable = state.current.clone();
        state.pending.clear();
    }

    pub(super) fn size(&self) -> usize {
        self.0.lock().current.len()
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(fault) = state.fault {
            return Err(fault.into());
        }
        change.apply(&mut state.current);
        state.pending.push(change);
        Ok(())
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.size() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock();
        let start = position(offset)?;
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::InvalidInput)?;
        out.copy_from_slice(state.current.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(position(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(fault) = state.fault.or(state.sync_fault) {
            return Err(fault.into());
        }
        state.durable = state.current.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(position(offset)?, data.to_vec()))
    }
}
