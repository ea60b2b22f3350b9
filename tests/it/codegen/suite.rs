pub fn again(_: &str, _: &str) -> Result<serde_json::Value, serde_json::Error> { unreachable!() }
