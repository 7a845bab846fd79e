//! What `tidegate dev` prints: where everything is, and the next calls to paste.

use super::setup::Addresses;

#[must_use]
pub fn text(at: Addresses, folder: &str) -> String {
    let Addresses { proxy, api, admin, idp, .. } = at;
    format!(
        r#"Tidegate is running, everything in {folder}

  proxy   http://{proxy}   the sample tool is at /notes/ (or under the host notes.localhost)
  API     http://{api}   try /openapi.json
  admin   http://{admin}   /metrics /livez /readyz
  tokens  http://{idp}   alice asks; bob and carol approve; dave is suspended; erin audits

Paste these:

  token() {{ curl -s http://{idp}/token -d user=$1 | sed 's/.*"access_token": *"\([^"]*\)".*/\1/'; }}
  ALICE=$(token alice); BOB=$(token bob)

  # refused: no grant, and how to get one
  curl -s http://{proxy}/notes/ -H "Authorization: Bearer $ALICE"

  # alice asks
  curl -s http://{api}/api/v1/requests -H "Authorization: Bearer $ALICE" -H 'Content-Type: application/json' \
    -d '{{"template": "notes-reader", "duration": "PT30M", "justification": "look something up"}}' | tee request.json
  ID=$(sed 's/.*"id": *"\(req_[^"]*\)".*/\1/' request.json)

  # bob approves, and the very next request is allowed
  curl -s http://{api}/api/v1/requests/$ID/approve -H "Authorization: Bearer $BOB" -H 'Content-Type: application/json' -d '{{}}'
  curl -s http://{proxy}/notes/ -H "Authorization: Bearer $ALICE"

Stop with Ctrl-C.
"#
    )
}
