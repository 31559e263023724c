use super::keys::{self, KeyRange};
use super::txn::Txn;
use super::{Engine, first};
use crate::{Error, ErrorKind, Order, Result};

/// The version of the layout of keys and records that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Refuses a store of another format; marks a new one with ours.
pub(super) fn check_format(engine: &dyn Engine) -> Result<()> {
    let view = engine.view()?;
    if let Some(found) = view.get(keys::FORMAT)? {
        return match found[..].try_into().map(u32::from_be_bytes) {
            Ok(FORMAT_VERSION) => Ok(()),
            Ok(version) => Err(format_error(&format!("it has format {version}"))),
            Err(_) => Err(format_error("what it names as its format is not a version")),
        };
    }
    if first(&*view, &KeyRange::everything(), Order::Ascending)?.is_some() {
        return Err(format_error("it has content but names no format"));
    }
    let mut txn = Txn::new(&*view);
    txn.put(keys::FORMAT.to_vec(), FORMAT_VERSION.to_be_bytes().to_vec());
    let changes = txn.into_changes();
    drop(view);
    engine.apply(&changes)?;
    engine.sync()
}

fn format_error(found: &str) -> Error {
    let message = format!("this version reads stores of format {FORMAT_VERSION}: {found}");
    Error::new(ErrorKind::Format, "open", message)
}
