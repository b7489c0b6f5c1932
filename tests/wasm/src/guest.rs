//! The guest's memory, seen from a host function.

use crate::abi::{Status, status};
use crate::world::World;
use wasmi::{Caller, Extern, Memory};

/// One host call in progress.
pub(crate) struct Guest<'a, 'b> {
    caller: &'a mut Caller<'b, World>,
}

/// A host function fails with a status, or it traps.
pub(crate) type Outcome<T> = Result<T, Status>;

impl<'a, 'b> Guest<'a, 'b> {
    pub(crate) fn new(caller: &'a mut Caller<'b, World>) -> Self {
        Self { caller }
    }

    pub(crate) fn world(&mut self) -> &mut World {
        self.caller.data_mut()
    }

    fn memory(&self) -> Memory {
        self.caller.get_export("memory").and_then(Extern::into_memory).expect("the module exports memory")
    }

    /// Bytes that the guest points to.
    pub(crate) fn bytes(&mut self, pointer: u32, length: u32) -> Outcome<Vec<u8>> {
        let memory = self.memory();
        let start = pointer as usize;
        let end = start.saturating_add(length as usize);
        match memory.data(&*self.caller).get(start..end) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(self.wild(pointer)),
        }
    }

    pub(crate) fn text(&mut self, pointer: u32, length: u32) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&self.bytes(pointer, length)?).into_owned())
    }

    pub(crate) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Outcome<()> {
        let memory = self.memory();
        if memory.write(&mut *self.caller, pointer as usize, bytes).is_ok() {
            return Ok(());
        }
        Err(self.wild(pointer))
    }

    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Outcome<()> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Hands bytes over in memory that the guest allocates; nothing is allocated for none.
    pub(crate) fn give(&mut self, bytes: &[u8], pointer_at: u32, size_at: u32) -> Outcome<()> {
        let mut pointer = 0;
        let size = u32::try_from(bytes.len()).expect("below 4 GiB");
        if size > 0 {
            pointer = self.allocate(size).ok_or(status::INVALID_MEMORY_ACCESS)?;
            self.write(pointer, bytes)?;
        }
        self.write_u32(pointer_at, pointer)?;
        self.write_u32(size_at, size)
    }

    /// The guest may refuse by returning 0.
    fn allocate(&mut self, size: u32) -> Option<u32> {
        let name = "proxy_on_memory_allocate";
        let function = self.caller.get_export(name).and_then(Extern::into_func).expect(name);
        let function = function.typed::<u32, u32>(&*self.caller).expect("(i32) -> i32");
        let called = function.call(&mut *self.caller, size);
        let pointer = called.unwrap_or_else(|trap| panic!("trap in {name}({size}): {trap}"));
        (pointer != 0).then_some(pointer)
    }

    /// A pointer that is not the guest's is a bug of the guest, besides being refused.
    fn wild(&mut self, pointer: u32) -> Status {
        self.world().violation(format!("a host call with the wild pointer {pointer:#x}"));
        status::INVALID_MEMORY_ACCESS
    }
}
