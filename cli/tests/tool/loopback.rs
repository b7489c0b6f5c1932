//! A server on this machine that answers what a test says.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

/// A request as it came: its first line, and all of it.
pub(crate) type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// The server ends with the test's process.
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) seen: Seen,
}

/// `answer` gets the base URL, method, path and the whole head, and gives status, more headers and body. Status 0: no answer.
pub(crate) fn serve(answer: impl Fn(&str, &str, &str, &str) -> (u16, String, String) + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Seen::default();
    let (own, log) = (base.clone(), Arc::clone(&seen));
    thread::spawn(move || {
        let mut idle = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read) = stream.read(&mut buffer) {
                text.extend_from_slice(&buffer[..read]);
                let all = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = all.split_once("\r\n\r\n") else {
                    if read == 0 {
                        break;
                    }
                    continue;
                };
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                if read == 0 || body.len() >= length.and_then(|length| length.trim().parse().ok()).unwrap_or(0) {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = text.lines().next().unwrap_or_default().to_owned();
            let mut words = line.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            log.lock().expect("a lock").push((format!("{method} {path}"), text.clone()));
            let (status, headers, body) = answer(&own, method, path, &text);
            if status == 0 {
                idle.push(stream);
                continue;
            }
            let length = body.len();
            let reply =
                format!("HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    Server { base, seen }
}

pub(crate) fn json(body: &serde_json::Value) -> (u16, String, String) {
    let headers = "content-type: application/json\r\naccess-control-allow-origin: *\r\n";
    (200, headers.to_owned(), body.to_string())
}

pub(crate) fn nothing() -> (u16, String, String) {
    (404, String::new(), String::new())
}

/// An address where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}
