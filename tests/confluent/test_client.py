"""The Confluent Schema Registry's published client against a Keyfold server: the real binary, on a free port.

Every test runs twice: with the API at the root, and below /v1/confluent, where it always is.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.request

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """The binary: `KEYFOLD_BIN`, or what `cargo build` made."""
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    found = pathlib.Path(os.environ.get("KEYFOLD_BIN", target / "debug" / "keyfold"))
    if not found.exists():
        raise FileNotFoundError(f"{found} is missing: run `cargo build`, or set KEYFOLD_BIN")
    return found


class Server:
    """A server with a data directory of its own."""

    def __init__(self, *args):
        self.data_dir = tempfile.mkdtemp(prefix="keyfold-confluent-")
        ours = re.compile(r"^(KEYFOLD_(?!BIN$)|STREAMS_|DURABLE_STREAMS_)|^PORT$")
        environment = {name: value for name, value in os.environ.items() if not ours.match(name)}
        command = [binary(), "serve", "--port", "0", "--data-dir", self.data_dir, "--log-format", "json", *args]
        self.child = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
        self.url = None
        # One that never serves ends the wait by ending.
        late = threading.Timer(30, self.child.kill)
        late.start()
        for line in self.child.stderr:
            found = re.search(r"http://[0-9.]+:\d+", line)
            if found and "keyfold serves" in line:
                self.url = found.group(0)
                break
        late.cancel()
        if self.url is None:
            raise RuntimeError("the server did not start")
        # What it logs from here on is not wanted, and must not fill the pipe.
        self.drain = threading.Thread(target=self.child.stderr.read, daemon=True)
        self.drain.start()

    def stop(self):
        self.child.terminate()
        self.child.wait(20)
        self.drain.join()
        self.child.stderr.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, data) as response:
            return json.loads(response.read() or "null")


def schema(value, references=()):
    return Schema(json.dumps(value), "JSON", list(references))


def counted(kind):
    return {"type": "object", "properties": {"n": {"type": kind}}}


PERSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Person",
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}},
}


class ClientTest:
    """What its users do with it."""

    prefix = ""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.stop)
        self.client = self.connect()

    def connect(self):
        client = SchemaRegistryClient({"url": self.server.url + self.prefix})
        self.addCleanup(client.close)
        return client

    def refused(self, code, status, call, *args, **kwargs):
        with self.assertRaises(SchemaRegistryError) as caught:
            call(*args, **kwargs)
        self.assertEqual((caught.exception.error_code, caught.exception.http_status_code), (code, status))
        return caught.exception

    def test_a_schema_is_registered_looked_up_and_read_back(self):
        first = self.client.register_schema("a-value", schema(counted("integer")))
        self.assertEqual(self.client.register_schema("a-value", schema(counted("integer"))), first)
        self.assertEqual(self.client.register_schema("b-value", schema(counted("integer"))), first)
        second = self.client.register_schema("a-value", schema(counted("number")))
        self.assertGreater(second, first)
        self.assertEqual(self.client.get_subjects(), ["a-value", "b-value"])
        self.assertEqual(self.client.get_versions("a-value"), [1, 2])
        self.assertEqual(json.loads(self.client.get_schema(second).schema_str), counted("number"))
        self.assertEqual(self.client.get_schema(second).schema_type, "JSON")
        latest = self.client.get_latest_version("a-value")
        self.assertEqual((latest.version, latest.schema_id, latest.subject), (2, second, "a-value"))
        self.assertEqual(self.client.get_version("a-value", 1).schema_id, first)
        found = self.client.lookup_schema("a-value", schema(counted("number")))
        self.assertEqual((found.version, found.schema_id), (2, second))
        self.assertEqual(self.client.get_subjects_by_schema_id(first), ["a-value", "b-value"])
        places = {(place.subject, place.version) for place in self.client.get_schema_versions(first)}
        self.assertEqual(places, {("a-value", 1), ("b-value", 1)})
        self.assertEqual(self.client.get_schema_types(), ["JSON"])
        self.assertEqual(self.client.get_contexts(), ["."])
        self.assertEqual(self.client.get_global_mode(), "READWRITE")

    def test_an_incompatible_schema_is_refused_and_the_mode_says_which_is(self):
        self.client.register_schema("s", schema(counted("integer")))
        narrower = schema(counted("boolean"))
        self.assertTrue(self.client.test_compatibility("s", schema(counted("number"))))
        self.assertFalse(self.client.test_compatibility("s", narrower))
        self.assertFalse(self.client.test_compatibility_all_versions("s", narrower))
        wider = dict(counted("integer"), title="with more")
        wider["properties"]["more"] = {"type": "string"}
        self.assertTrue(self.client.test_compatibility("s", schema(wider)))
        self.refused(409, 409, self.client.register_schema, "s", narrower)
        self.assertEqual(self.client.get_compatibility(), "BACKWARD")
        self.refused(40408, 404, self.client.get_compatibility, "s")
        self.assertEqual(self.client.set_compatibility("s", "NONE"), {"compatibility": "NONE"})
        self.assertEqual(self.client.get_compatibility("s"), "NONE")
        self.client.register_schema("s", narrower)
        self.client.delete_config("s")
        self.refused(40408, 404, self.client.get_compatibility, "s")
        self.client.set_compatibility(level="FULL_TRANSITIVE")
        self.assertEqual(self.client.get_compatibility(), "FULL_TRANSITIVE")
        self.refused(42203, 422, self.client.set_compatibility, "s", "SIDEWAYS")

    def test_what_is_deleted_is_hidden_first_and_forgotten_then(self):
        first = self.client.register_schema("s", schema(counted("integer")))
        self.client.register_schema("s", schema(counted("number")))
        self.refused(40407, 404, self.client.delete_version, "s", 1, permanent=True)
        self.assertEqual(self.client.delete_version("s", 1), 1)
        self.assertEqual(self.client.get_versions("s"), [2])
        self.refused(40402, 404, self.client.get_version, "s", 1)
        self.client.clear_caches()
        # What was written with it can still be read.
        self.assertEqual(json.loads(self.client.get_schema(first).schema_str), counted("integer"))
        self.assertEqual(self.client.get_version("s", 1, deleted=True).schema_id, first)
        self.assertEqual(self.client.delete_version("s", 1, permanent=True), 1)
        self.refused(40405, 404, self.client.delete_subject, "s", permanent=True)
        self.assertEqual(self.client.delete_subject("s"), [2])
        self.assertEqual(self.client.get_subjects(), [])
        self.assertEqual(self.client.get_subjects(deleted=True), ["s"])
        self.refused(40404, 404, self.client.delete_subject, "s")
        self.assertEqual(self.client.delete_subject("s", permanent=True), [2])
        self.assertEqual(self.client.get_subjects(deleted=True), [])

    def test_refusals_have_the_codes_that_its_users_look_for(self):
        self.refused(40401, 404, self.client.get_versions, "none")
        self.refused(40401, 404, self.client.get_latest_version, "none")
        self.refused(40403, 404, self.client.get_schema, 99)
        self.refused(40401, 404, self.client.lookup_schema, "none", schema(counted("integer")))
        self.client.register_schema("s", schema(counted("integer")))
        self.refused(40403, 404, self.client.lookup_schema, "s", schema(counted("string")))
        self.refused(40402, 404, self.client.get_version, "s", 9)
        self.refused(42202, 422, self.client.get_version, "s", "first")
        self.refused(42201, 422, self.client.register_schema, "t", schema({"type": "nothing"}))
        self.refused(42201, 422, self.client.register_schema, "t", Schema('{"type": "record"}', "AVRO"))
        self.refused(42208, 422, self.client.register_schema, "a b", schema(counted("integer")))

    def test_references_hold(self):
        self.client.register_schema("person", schema(PERSON))
        reference = SchemaReference("person.json", "person", 1)
        couple = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Couple",
            "type": "object",
            "properties": {"a": {"$ref": "person.json"}, "b": {"$ref": "person.json"}},
        }
        registered = self.client.register_schema("couple", schema(couple, [reference]))
        self.assertEqual(self.client.get_referenced_by("person", 1), [registered])
        self.client.clear_caches()
        read = self.client.get_schema(registered)
        self.assertEqual([(r.name, r.subject, r.version) for r in read.references], [("person.json", "person", 1)])
        self.refused(42206, 422, self.client.delete_subject, "person")
        missing = SchemaReference("person.json", "person", 7)
        self.refused(42201, 422, self.client.register_schema, "other", schema(couple, [missing]))

        context = SerializationContext("couple", MessageField.VALUE)
        write = JSONSerializer(schema(couple, [reference]), self.client)
        value = {"a": {"name": "Jo"}, "b": {"name": "Al", "age": 7}}
        message = write(value, context)
        self.assertEqual(JSONDeserializer(None, schema_registry_client=self.client)(message, context), value)
        with self.assertRaises(SerializationError):
            write({"a": {"name": ""}}, context)

    def test_what_is_serialised_is_deserialised(self):
        context = SerializationContext("people", MessageField.VALUE)
        write = JSONSerializer(json.dumps(PERSON), self.client)
        message = write({"name": "Jo", "age": 7}, context)
        self.assertEqual(self.client.get_subjects(), ["people-value"])
        read = JSONDeserializer(json.dumps(PERSON), schema_registry_client=self.client)
        self.assertEqual(read(message, context), {"name": "Jo", "age": 7})
        # By the id in the message alone, and with the newest version.
        fresh = self.connect()
        self.assertEqual(JSONDeserializer(None, schema_registry_client=fresh)(message, context)["name"], "Jo")
        latest = {"auto.register.schemas": False, "use.latest.version": True}
        self.assertEqual(JSONSerializer(json.dumps(PERSON), fresh, conf=latest)({"name": "Jo", "age": 7}, context), message)
        with self.assertRaises(SerializationError):
            write({"age": 7}, context)

    def test_both_doors_lead_to_the_same_subjects(self):
        document = {
            "collections": {
                "jobs": {
                    "type": "job",
                    "primaryKey": "id",
                    "schema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
                }
            }
        }
        self.server.call("POST", "/v1/schemas/ours/versions", document)
        seen = self.client.get_latest_version("ours")
        self.assertEqual(json.loads(seen.schema.schema_str), document)
        self.assertEqual(self.client.register_schema("ours", seen.schema), seen.schema_id)
        self.client.register_schema("theirs", schema(PERSON))
        theirs = self.server.call("GET", "/v1/schemas/theirs/versions/latest")
        self.assertEqual(theirs["document"], {"schema": PERSON})


class AtTheRoot(ClientTest, unittest.TestCase):
    """Where no streams are mounted."""


class BelowThePrefix(ClientTest, unittest.TestCase):
    """Where it always is."""

    prefix = "/v1/confluent"


if __name__ == "__main__":
    unittest.main()
