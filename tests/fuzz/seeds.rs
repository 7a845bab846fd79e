//! What is changed: the published cases, the shipped policies, and expressions of every kind.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate::policy::embedded::Engine;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The files below a folder, with links left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn texts(accept: impl Fn(&str) -> bool) -> Vec<String> {
    let folders = ["tests/conformance/cerbos/store", "policies"].map(|it| Path::new(ROOT).join(it));
    let files = folders.iter().flat_map(|it| files(it));
    let texts = files.filter(|it| accept(&it.to_string_lossy())).map(fs::read_to_string);
    texts.map(|text| text.expect("a seed")).filter(|text| text.len() < 20_000).collect()
}

pub fn policies() -> Vec<String> {
    let accept = |name: &str| {
        has_extension(name, "yaml") && !name.contains("_test.") && !name.contains("testdata")
    };
    let mut found = texts(accept);
    assert!(found.len() > 20, "{} seeds", found.len());
    // Expressions reach the loader as well.
    for source in expressions() {
        let quoted = source.replace('\'', "''");
        found.push(format!(
            "{}resourcePolicy:\n  resource: leave_request\n  version: default\n  rules:\n    - actions: ['*']\n      effect: EFFECT_ALLOW\n      roles: [user]\n      condition: {{ match: {{ expr: '{quoted}' }} }}\n      output: {{ when: {{ ruleActivated: '{quoted}' }} }}\n",
            crate::HEAD
        ));
    }
    found
}

pub fn suites() -> Vec<String> {
    let found = texts(|name| name.contains("_test.yaml"));
    assert!(!found.is_empty());
    found
}

/// Everything of the published cases in one engine.
pub fn store(folder: &Path) -> Engine {
    let store = Path::new(ROOT).join("tests/conformance/cerbos/store");
    for file in files(&store) {
        let to = folder.join(file.strip_prefix(&store).expect("below"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(file, to).expect("copied");
    }
    Engine::load(folder).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The inputs of the published cases, as requests.
pub fn requests() -> Vec<String> {
    let cases = files(&Path::new(ROOT).join("tests/conformance/cerbos/engine"));
    let mut found = Vec::new();
    for case in cases {
        let text = fs::read_to_string(case).expect("a case");
        let case: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
        for input in case["inputs"].as_array().into_iter().flatten() {
            let request = serde_json::json!({
                "requestId": "r", "principal": input["principal"], "auxData": input["auxData"],
                "resources": [{ "actions": input["actions"], "resource": input["resource"] }],
            });
            found.push(request.to_string());
        }
    }
    assert!(found.len() > 20, "{} requests", found.len());
    found
}

pub fn expressions() -> Vec<String> {
    const PLAIN: &[&str] = &[
        "P.attr.n > 1 && R.attr.owner == P.id || 'user' in P.roles",
        "P.attr.l.map(x, x * 2).filter(x, x > 3).exists(x, x == 8)",
        "P.attr.map.transformMap(k, v, string(v)).transformList(k, v, k).size() > 0",
        "P.attr.s.matches('^(ab)+$') && P.attr.s.replace('a', 'b').split('b').size() > 2",
        "'%s %d %.3f %x %e'.format(['a', 1, 1.5, 255, 2.0]) == 'x'",
        "timestamp(P.attr.when).getHours('America/New_York') > 3 && timeSince(timestamp(P.attr.when)) > duration('1h')",
        "hierarchy(P.attr.path).ancestorOf(hierarchy('a.b.c.d')) && P.attr.ip.inIPAddrRange('10.0.0.0/8')",
        "cel.bind(x, P.attr.l, x.size() + x[0] > 0 ? x : [1]).sortBy(y, -y).slice(0, 2) == [1, 2]",
        "has(P.attr.map.k) ? P.attr.map.?deep.?x.orValue([]) == [1] : optional.none().hasValue()",
        "sets.contains(P.attr.l, [1, 2]) && math.greatest(P.attr.n, 3, 4.5) > 4 && [1, [2, [3]]].flatten(2).distinct() == [1]",
        "base64.decode(base64.encode(b'abc')) == b'abc' && json.encode({'a': P.attr.list}) != ''",
        "spiffeID('spiffe://a.b/c').trustDomain() == spiffeTrustDomain('a.b') && pathMatch('/a/*', P.attr.s)",
        "regex.extract(P.attr.s, '(a+)b') == optional.of('a') && P.attr.name.upperAscii().reverse().charAt(1) == 'x'",
        "{'a': 1, 'b': [1u, -2, 3.5, b'x', null, true]}.b[int('3')] == dyn(3.5)",
        "type(P.attr.n) == int && uint(P.attr.n) << 1 == 3 || !(G.env == 'test') && C.limit >= 10.0",
        "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP(ip(P.attr.ip)) && lists.range(5).sum() == 10",
    ];
    PLAIN.iter().map(ToString::to_string).chain(bombs()).collect()
}

pub fn bombs() -> Vec<String> {
    let doubled = |part: &str, times: usize| {
        let mut text = part.to_owned();
        for step in 0..times {
            text = format!("cel.bind(x{step}, {text}, x{step} + x{step})");
        }
        text
    };
    let loops =
        (0..6).fold("true".to_owned(), |inner, depth| format!("P.attr.l.all(v{depth}, {inner})"));
    let mut found: Vec<String> = [
        "lists.range(1000000000).size() > 0",
        "lists.range(9999).map(x, lists.range(9999)).flatten().size() > 0",
        "P.attr.l.map(x, P.attr.l.map(y, P.attr.s)).flatten().join(P.attr.s) == ''",
        "P.attr.l.map(x, P.attr.s).join(P.attr.s).replace('a', P.attr.s).replace('b', P.attr.s) == ''",
        "P.attr.s.replace('', P.attr.s).replace('', P.attr.s).size() > 0",
        "'%999999999d'.format([P.attr.n]) == ''",
        "'%.999999999f'.format([P.attr.half]) == ''",
        "'%s%s%s%s'.format([P.attr.l, P.attr.l, P.attr.map, P.attr.s]) == ''",
        "P.attr.s.matches('(((a{1,100}){1,100}){1,100}){1,100}')",
        "P.attr.s.matches('(a|ab|b|ba)*(a|b)*(a|ab)*c')",
        "P.attr.l.all(x, P.attr.s.matches('.*a.*b.*a.*b.*c'))",
        "P.attr.l.exists(x, regex.replace(P.attr.s, 'a*', P.attr.s) == '')",
        "P.attr.l.exists(x, regex.extractAll(P.attr.s, '.*?').size() > 99999)",
        "P.attr.l.map(x, P.attr.pattern + string(x)).exists(p, P.attr.s.matches(p))",
        "timestamp('9999-12-31T23:59:59.999999999Z') + duration('8760h') > now()",
        "timestamp('0001-01-01T00:00:00Z') - duration('99999999999h') < now()",
        "duration('999999999999999999999h') > duration('1s')",
        "P.attr.l.exists(x, hierarchy(P.attr.s, 'a').commonAncestors(hierarchy(P.attr.s, 'b')).size() > 999)",
        "hierarchy(P.attr.s.replace('a', '.')).size() > 99999",
        "P.attr.l.exists(x, P.attr.s.inIPAddrRange('10.0.0.0/8'))",
        "P.attr.l.all(x, ip(P.attr.ip).family() == 4 && cidr('::/0').masked() == cidr('::/0'))",
        "P.attr.l.sortBy(x, P.attr.l.sortBy(y, -y)[0] - x)[0] == 1",
        "P.attr.l.map(x, P.attr.l).distinct().size() == 1",
        "sets.equivalent(P.attr.l.map(x, P.attr.l), P.attr.l.map(x, P.attr.l))",
        "P.attr.l.map(x, P.attr.l) == P.attr.l.map(x, P.attr.l)",
        "P.attr.l.map(x, P.attr.s) in [P.attr.l.map(x, P.attr.s)]",
        "json.encode(P.attr.l.map(x, P.attr)) == ''",
        "base64.encode(bytes(P.attr.l.map(x, P.attr.s).join(''))) == ''",
        "P.attr.s.split('').map(c, P.attr.s.split('')).size() > 0",
        "P.attr.l.exists(x, P.attr.s.lastIndexOf('zz') > 0 || P.attr.s.indexOf('abc') > 0)",
        "P.attr.l.exists(x, pathMatch('*a*a*a*a*a*a*a*a*a*c', P.attr.s))",
        "P.attr.l.transformMapEntry(i, v, {string(v): P.attr.l}).size() == 0",
        "strings.quote(P.attr.l.map(x, strings.quote(P.attr.s)).join('\"')) == ''",
        "P.attr.l.map(x, P.attr.s.reverse().upperAscii().trim()).size() > 0",
    ].map(str::to_owned).to_vec();
    found.extend([
        doubled("P.attr.s", 30),
        doubled("P.attr.l", 30),
        doubled("'ab'", 40),
        loops,
        format!("{}1{}", "(".repeat(4000), ")".repeat(4000)),
        format!("{}1{}", "[".repeat(47), "]".repeat(47)),
        "-".repeat(8000) + "1",
        "!".repeat(8000) + "true",
        format!("true{}", " && true".repeat(1000)),
        format!("1{} == 1", " + 1".repeat(2000)),
        format!("P{}", ".attr".repeat(1500)),
        format!("P.attr.n == 1 {}", "? true : P.attr.t ".repeat(400) + " : false"),
        format!("{}1{}", "P.attr.l.map(x, ".repeat(40), ")".repeat(40)),
        format!("P.attr.s{}", ".reverse()".repeat(700)),
        format!("[{}] == []", "P.attr.l, ".repeat(700)),
    ]);
    found
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == extension)
}
