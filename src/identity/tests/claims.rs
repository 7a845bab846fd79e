//! What a token says (T06, T07, T14).

use super::*;

async fn refusal_of(name: &str, value: Option<Value>) -> Option<TokenRefused> {
    Desk::new().refusal(&ec().mint(&with(name, value)).unwrap()).await
}

/// The claims as text, with one value that JSON libraries would not write.
async fn refusal_of_raw(name: &str, value: &str) -> Option<TokenRefused> {
    let payload = with(name, None).to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
    let token = ec().mint_raw(r#"{"alg":"ES256","kid":"ec"}"#, payload).unwrap();
    Desk::new().refusal(&token).await
}

#[tokio::test]
async fn t06_times_are_whole_numbers_of_seconds() {
    for (name, refused) in [
        ("exp", TokenRefused::ExpiryClaim),
        ("nbf", TokenRefused::NotBeforeClaim),
        ("iat", TokenRefused::IssuedAtClaim),
    ] {
        for value in [
            json!(NOW.to_string()),
            json!(1.5),
            json!(1_795_339_800.0),
            json!(-1),
            json!(null),
            json!([NOW]),
            json!({}),
            json!(true),
            json!(u64::MAX),
            json!(253_402_300_800_u64),
        ] {
            assert_eq!(
                refusal_of(name, Some(value.clone())).await,
                Some(refused),
                "{name} {value}"
            );
        }
        assert_eq!(refusal_of_raw(name, "1e3").await, Some(refused), "{name}");
        assert_eq!(refusal_of_raw(name, "-0").await, Some(refused), "{name}");
        assert_eq!(refusal_of_raw(name, "1e999").await, Some(TokenRefused::Json), "{name}");
        assert!(refusal_of_raw(name, "99999999999999999999999").await.is_some(), "{name}");
    }
    assert_eq!(refusal_of("exp", None).await, Some(TokenRefused::ExpiryClaim));
    assert_eq!(refusal_of("exp", Some(json!(0))).await, Some(TokenRefused::Expired));
    assert_eq!(refusal_of("exp", Some(json!(NOW))).await, Some(TokenRefused::Expired));
    assert_eq!(refusal_of("exp", Some(json!(NOW + 1))).await, None);
    assert_eq!(refusal_of("nbf", Some(json!(NOW))).await, None);
    assert_eq!(refusal_of("nbf", Some(json!(NOW + 1))).await, Some(TokenRefused::NotYetValid));
    assert_eq!(refusal_of("iat", Some(json!(NOW + 1))).await, Some(TokenRefused::IssuedAtClaim));
}

#[tokio::test]
async fn t07_the_audience_is_one_of_ours_exactly() {
    let good = [json!("tools"), json!("more"), json!(["other", "tools"])];
    for aud in good {
        assert_eq!(refusal_of("aud", Some(aud)).await, None);
    }
    for aud in [
        json!("tool"),
        json!("tools "),
        json!("Tools"),
        json!("tools/x"),
        json!(""),
        json!([]),
        json!(["toolsx"]),
        json!([["tools"]]),
        json!(["tools", 1]),
        json!({ "tools": 1 }),
        json!(null),
        json!(1),
        json!("api"),
        json!("tools more"),
    ] {
        let refused = refusal_of("aud", Some(aud.clone())).await;
        assert_eq!(refused, Some(TokenRefused::AudienceClaim), "{aud}");
    }
    assert_eq!(refusal_of("aud", None).await, Some(TokenRefused::AudienceClaim));
}

#[tokio::test]
async fn t07_the_issuer_is_compared_byte_for_byte() {
    for iss in [
        json!("https://idp.example.test/"),
        json!("https://IDP.example.test"),
        json!("http://idp.example.test"),
        json!("https://idp.example.test "),
        json!("https://idp.example.test:443"),
        json!(""),
        json!(null),
        json!([ISSUER]),
        json!(1),
    ] {
        assert_eq!(refusal_of("iss", Some(iss.clone())).await, Some(TokenRefused::Issuer), "{iss}");
    }
    assert_eq!(refusal_of("iss", None).await, Some(TokenRefused::Issuer));
}

#[tokio::test]
async fn a_token_for_the_tools_is_not_one_for_the_api_and_the_other_way_round() {
    let desk = Desk::new();
    let tools = ec().mint(&claims()).unwrap();
    let api = ec().mint(&with("aud", Some(json!("api")))).unwrap();
    let both = ec().mint(&with("aud", Some(json!(["api", "tools"])))).unwrap();
    // Twice: the second time from memory.
    for _ in 0..2 {
        assert!(desk.show_for(Audience::Tools, &tools).await.is_ok());
        assert!(desk.show_for(Audience::Api, &tools).await.is_err());
        assert!(desk.show_for(Audience::Tools, &api).await.is_err());
        assert!(desk.show_for(Audience::Api, &api).await.is_ok());
        assert!(desk.show_for(Audience::Tools, &both).await.is_ok());
        assert!(desk.show_for(Audience::Api, &both).await.is_ok());
    }
}

#[tokio::test]
async fn t14_leeway_is_granted_up_to_a_minute_and_no_more() {
    let desk = Desk::changed(|issuer| issuer.leeway = Duration::from_secs(3600));
    let token = ec().mint(&claims()).unwrap();
    desk.clock.set(at(NOW + 659));
    assert_eq!(desk.refusal(&token).await, None);
    desk.clock.set(at(NOW + 660));
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::Expired));
    let early = ec().mint(&with("nbf", Some(json!(NOW + 60)))).unwrap();
    desk.clock.set(at(NOW));
    assert_eq!(desk.refusal(&early).await, None);
    desk.clock.set(at(NOW - 1));
    assert_eq!(desk.refusal(&early).await, Some(TokenRefused::NotYetValid));
}

#[tokio::test]
async fn t14_a_clock_ten_minutes_off_only_ever_refuses() {
    let desk = Desk::new();
    let claims = json!({ "iss": ISSUER, "sub": "a", "aud": "tools", "iat": NOW, "exp": NOW + 300 });
    let token = ec().mint(&claims).unwrap();
    assert_eq!(desk.refusal(&token).await, None);
    desk.clock.set(at(NOW - 600));
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::IssuedAtClaim));
    desk.clock.set(at(NOW + 600));
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::Expired));
}

#[tokio::test]
async fn claims_are_mapped_by_their_configured_names() {
    let mut claims = claims();
    let more = json!({
        "email": "Alice@example.test", "groups": ["engineering", "on call"],
        "realm_access": { "roles": "viewer" }, "scope": "read  write",
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let identity = Desk::new().show(&ec().mint(&claims).unwrap()).await.unwrap();
    let person = &identity.person;
    assert_eq!(person.email.as_deref(), Some("Alice@example.test"));
    assert_eq!(
        person.groups,
        [std::sync::Arc::<str>::from("engineering"), std::sync::Arc::<str>::from("on call")]
    );
    assert_eq!(identity.roles, [std::sync::Arc::<str>::from("viewer")]);
    assert_eq!(
        person.scopes,
        [std::sync::Arc::<str>::from("read"), std::sync::Arc::<str>::from("write")]
    );
    assert_eq!(Value::Object((*identity.claims).clone()), claims);
}

#[tokio::test]
async fn lists_are_bounded_and_hold_plain_texts_only() {
    let many = |count: usize| json!(vec!["g"; count]);
    assert_eq!(refusal_of("groups", Some(many(1000))).await, None);
    for bad in [
        many(1001),
        json!([1]),
        json!(1),
        json!({}),
        json!([""]),
        json!(["a\nb"]),
        json!(["g".repeat(257)]),
    ] {
        assert_eq!(refusal_of("groups", Some(bad)).await, Some(TokenRefused::GroupsClaim));
    }
    let roles = json!({ "roles": [["admin"]] });
    assert_eq!(refusal_of("realm_access", Some(roles)).await, Some(TokenRefused::RolesClaim));
    assert_eq!(refusal_of("scope", Some(json!(7))).await, Some(TokenRefused::ScopesClaim));
}

#[tokio::test]
async fn identity_keys_name_claims_of_verified_text_and_nothing_else() {
    let keys = crate::config::IdentityKeys {
        email: false,
        claims: vec!["employee_id".into(), "person.number".into()],
    };
    let desk = Desk::changed(|issuer| issuer.identity_keys = keys);
    let mut both = with("employee_id", Some(json!("E-12")));
    both["person"] = json!({ "number": "7" });
    let read = async |claims: &serde_json::Value| {
        let token = ec().mint(claims).unwrap();
        desk.show_for(Audience::Api, &token).await.unwrap().person.identities.clone()
    };
    both["aud"] = json!("api");
    let found = read(&both).await;
    assert!(found.shares_email);
    let pairs: Vec<(&str, &str)> = found.claims.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(pairs, [("employee_id", "E-12"), ("person.number", "7")]);
    for odd in [json!(""), json!(" "), json!(12), json!(["E-12"]), json!(null), json!("a\u{0}")] {
        both["employee_id"] = odd.clone();
        assert_eq!(read(&both).await.claims.len(), 1, "{odd}");
    }
}
