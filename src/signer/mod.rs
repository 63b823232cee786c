//! Keys behind one gate that remembers and refuses.
//!
//! Promises: nothing outside policy is signed. Refuses to know: everything else.
