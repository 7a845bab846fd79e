//! The login of the operations page.

use super::Server;

impl Server {
    /// The command of the operations page, and `more` as it says: user `tidegate`, password
    /// `PASSWORD`.
    pub fn give_least_rights(&self, more: &[&str]) {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let (_, rest) = page.split_once("```\nACL SETUSER").expect("the command");
        let (command, _) = rest.split_once("```").expect("its end");
        let mut words = vec!["ACL", "SETUSER"];
        words.extend(command.split_whitespace());
        words.extend(more);
        assert_eq!(self.ask(&words), "+OK\r\n");
    }
}
