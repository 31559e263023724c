//! Control over HTTP.

use crate::client::{Answer, Client, backend, request};
use crate::server::Server;
use crate::token::{chat, now};
use http::{Method, Request};
use serde_json::{Value, json};

async fn get(server: &Server, path: &str) -> Answer {
    backend(server, Method::GET, path, &Value::Null).await
}

async fn delete(server: &Server, path: &str) -> Answer {
    backend(server, Method::DELETE, path, &Value::Null).await
}

#[tokio::test]
async fn connections_and_channels_are_listed() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim & ann"), "b/ü").await;
    jim.subscribe("a").await;
    let _ann = Client::connect(&server, &chat("ann")).await;
    let all = get(&server, "/connections").await.json();
    assert_eq!((all["connections"].as_array().unwrap().len(), &all["next"]), (2, &json!(null)));
    let first = get(&server, "/connections?limit=1").await.json();
    let next = first["next"].as_str().unwrap();
    let second = get(&server, &format!("/connections?limit=1&after={next}")).await.json();
    assert_eq!(json!([first["connections"][0], second["connections"][0]]), all["connections"]);
    assert_eq!(second["next"], json!(null));

    let of_jim = get(&server, "/connections?uid=jim%20%26%20ann").await.json();
    let mut shown = of_jim["connections"][0].clone();
    let connected_at = shown["connectedAt"].take();
    assert!(connected_at.as_str().unwrap().ends_with('Z'), "{connected_at}");
    let mut expected = json!({"id": jim.id, "uid": "jim & ann", "umd": null, "connectedAt": null,
                              "subscriptionsCount": 2});
    assert_eq!(shown, expected);
    let mut one = get(&server, &format!("/connections/{}", jim.id)).await.json();
    one["connectedAt"].take();
    expected["subscriptions"] = json!(["a", "b/ü"]);
    assert_eq!(one, expected);
    let text = get(&server, "/connections").await.text;
    assert!(!text.contains(&jim.secret));

    let channels = get(&server, "/channels?prefix=b%2F&limit=5").await.json();
    let expected = json!({"channels": [{"name": "b/ü", "subscriptionsCount": 1}], "next": null});
    assert_eq!(channels, expected);
    assert_eq!(get(&server, "/channels?limit=1").await.json()["next"], "a");
}

#[tokio::test]
async fn connections_and_subscriptions_are_ended() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "b/ü").await;
    let mut ann = Client::subscribed(&server, &chat("ann"), "b/ü").await;
    let path = format!("/connections/{}/subscriptions/b%2F%C3%BC", jim.id);
    let answer = delete(&server, &path).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(jim.next().await["event"], "hotsock.unsubscribed");
    assert_eq!(delete(&server, &path).await.code(), (404, "NOT_FOUND".into()));
    let answer = delete(&server, "/channels/b%2F%C3%BC/subscriptions?uid=ann").await;
    assert_eq!(answer.json(), json!({"unsubscribed": 1}));
    assert_eq!(ann.next().await["event"], "hotsock.unsubscribed");

    assert_eq!(delete(&server, &format!("/connections/{}", jim.id)).await.status, 204);
    assert_eq!(jim.close_code().await, 4403);
    assert_eq!(delete(&server, "/connections/nobody").await.code(), (404, "NOT_FOUND".into()));
    assert_eq!(get(&server, "/connections/nobody").await.code(), (404, "NOT_FOUND".into()));
    assert_eq!(delete(&server, "/connections?uid=ann").await.json(), json!({"disconnected": 1}));
    assert_eq!(ann.close_code().await, 4403);
}

#[tokio::test]
async fn permissions_are_put() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &chat("jim"), "c").await;
    let path = format!("/connections/{}/permissions", jim.id);
    let put = async |body: &Value| backend(&server, Method::PUT, &path, body).await;
    assert_eq!(put(&json!({"channels": {"d": {"subscribe": true}}})).await.status, 204);
    assert_eq!(jim.next().await["event"], "hotsock.unsubscribed");
    jim.subscribe("d").await;
    for (body, named) in [
        (json!({}), "\"channels\""),
        (json!({"channels": null}), "\"channels\""),
        (json!({"channels": []}), "channels must be an object"),
        (json!({"channels": {"c": {"subscribe": 1}}}), "channels[\"c\"].subscribe"),
        (json!([]), "JSON object"),
    ] {
        let answer = put(&body).await;
        assert_eq!(answer.code(), (400, "INVALID_MESSAGE".into()), "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{message}");
    }
    let body = json!({"channels": {}});
    let answer = backend(&server, Method::PUT, "/connections/nobody/permissions", &body).await;
    assert_eq!(answer.code(), (404, "NOT_FOUND".into()));
    jim.assert_silent().await;
}

#[tokio::test]
async fn tokens_are_revoked() {
    let server = Server::start().await;
    let mut jim = Client::connect(&server, &chat("jim")).await;
    let post = async |body: &Value| backend(&server, Method::POST, "/revocations", body).await;
    let (before, end) = (now() + 1, now() + 100);
    let answer = post(&json!({"uid": "jim", "issuedBefore": before, "expiresAt": end})).await;
    let effect = json!({"disconnected": 1, "unsubscribed": 0});
    assert_eq!((answer.status.as_u16(), answer.json()), (200, effect));
    assert_eq!(jim.close_code().await, 4403);
    assert_eq!(post(&json!({"jti": "a b", "uid": null})).await.status, 200);
    let token = json!({"jti": "a b", "expiresAt": null});
    let user = json!({"uid": "jim", "issuedBefore": before, "expiresAt": end});
    let all = get(&server, "/revocations").await.json();
    assert_eq!(all, json!({"revocations": [token, user], "next": null}));
    let first = get(&server, "/revocations?limit=1").await.json();
    assert_eq!(first, json!({"revocations": [token], "next": "jti:a b"}));
    let second = get(&server, "/revocations?limit=1&after=jti%3Aa%20b").await.json();
    assert_eq!(second, json!({"revocations": [user], "next": null}));
    for body in [
        json!({}),
        json!({"jti": "a", "uid": "b"}),
        json!({"jti": "a", "issuedBefore": 1}),
        json!({"jti": 1}),
        json!({"jti": ""}),
        json!({"uid": "a", "expiresAt": -1}),
        json!({"uid": "a".repeat(2_000)}),
    ] {
        assert_eq!(post(&body).await.code(), (400, "INVALID_MESSAGE".into()), "{body}");
    }
}

#[tokio::test]
async fn wrong_requests_are_told_what_would_be_right() {
    let server = Server::start().await;
    for path in [
        "/connections?limit=0",
        "/connections?limit=1001",
        "/channels?limit=x",
        "/connections?uid=%ff",
        "/revocations?after=x",
        "/connections/%ff",
    ] {
        assert_eq!(get(&server, path).await.code(), (400, "INVALID_MESSAGE".into()), "{path}");
    }
    for path in ["/connections", "/connections?uid=", "/channels/c/subscriptions"] {
        assert_eq!(delete(&server, path).await.code(), (400, "INVALID_MESSAGE".into()), "{path}");
    }
    for (path, allowed) in [
        ("/connections", "GET, DELETE"),
        ("/connections/x", "GET, DELETE"),
        ("/connections/x/permissions", "PUT"),
        ("/connections/x/subscriptions/c", "DELETE"),
        ("/channels", "GET"),
        ("/channels/c/subscriptions", "DELETE"),
        ("/revocations", "GET, POST"),
    ] {
        let answer = backend(&server, Method::PATCH, path, &Value::Null).await;
        assert_eq!(answer.code(), (405, "METHOD_NOT_ALLOWED".into()), "{path}");
        assert_eq!(answer.headers["allow"], allowed);
        let method = allowed.split(", ").next().unwrap();
        let without_key = Request::builder().method(method).uri(path).body(String::new()).unwrap();
        let answer = request(server.address, without_key).await;
        assert_eq!(answer.code(), (401, "INVALID_API_KEY".into()), "{path}");
    }
    for path in
        ["/connections/", "/connections/a/b", "/connections/a/subscriptions/", "/revocations/a"]
    {
        assert_eq!(get(&server, path).await.code(), (404, "NOT_FOUND".into()), "{path}");
    }
    let large = json!("x".repeat(5 << 20));
    let answer = backend(&server, Method::POST, "/revocations", &large).await;
    assert_eq!(answer.code(), (413, "BODY_TOO_LARGE".into()));
}
