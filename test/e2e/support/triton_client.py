"""What Triton's own HTTP client can ask of a server: `triton_client.py HOST:PORT`. One line a check, `ok NAME` or `FAILED NAME: why`."""
import json
import os
import sys
import urllib.request

import ml_dtypes
import numpy as np
import tritonclient.http as http
import tritonclient.utils.shared_memory as shm
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

client = http.InferenceServerClient(sys.argv[1], concurrency=4)
checks = []


def check(run):
    checks.append(run)
    return run


def tensor(name, values, binary=True):
    made = http.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    return made.set_data_from_numpy(values, binary_data=binary)


def same(found, expected):
    assert found.dtype == expected.dtype, f"type {found.dtype}, expected {expected.dtype}"
    assert np.array_equal(found, expected), f"{found!r}, expected {expected!r}"


def refused(status, text, run):
    try:
        run()
    except InferenceServerException as error:
        assert error.status() == str(status) and text in error.message(), f"status {error.status()}: {error.message()}"
        return
    raise AssertionError(f"was answered, expected status {status}")


numbers = np.arange(6, dtype=np.float32).reshape(2, 3)


def pair(binary=True):
    return [tensor("a", numbers, binary), tensor("b", 2 * numbers, binary)]


@check
def health_and_metadata():
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("pair") and client.is_model_ready("pair", "1") and not client.is_model_ready("none")
    assert {"binary_tensor_data", "classification", "model_repository", "statistics"} <= set(client.get_server_metadata()["extensions"])
    inputs = client.get_model_metadata("pair", query_params={"a": "b c"}, headers={"X-Any": "1"})["inputs"]
    assert inputs == [{"name": name, "datatype": "FP32", "shape": [-1, 3]} for name in ("a", "b")], inputs
    assert client.get_model_config("scores")["max_batch_size"] == 8
    refused(404, "none", lambda: client.get_model_metadata("none"))


@check
def tensors_in_json_and_binary():
    for binary_in in (True, False):
        for binary_out in (True, False):
            outputs = [http.InferRequestedOutput("a_copy", binary_data=not binary_out), http.InferRequestedOutput("sum", binary_data=binary_out)]
            result = client.infer("pair", [tensor("b", 2 * numbers, not binary_in), tensor("a", numbers, binary_in)], outputs=outputs, request_id='r "é"')
            same(result.as_numpy("sum"), 3 * numbers)
            same(result.as_numpy("a_copy"), numbers)
            assert result.get_response()["id"] == 'r "é"'
    result = client.infer("pair", pair(), outputs=[http.InferRequestedOutput("sum")], parameters={"mine": 1.5}, priority=1, timeout=60_000_000)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["sum"]


@check
def all_types():
    values = {
        "BOOL": np.array([[True, False, True]]),
        "FP16": np.array([[1.5, -2, 65504]], np.float16),
        "BF16": np.array([[1.5, -2, 3e38]], ml_dtypes.bfloat16),
        "FP32": np.array([[0.1, np.nan, -np.inf]], np.float32),
        "FP64": np.array([[0.1, 1e300, -0.25]], np.float64),
    }
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        values[name.upper()] = np.array([[np.iinfo(name).min, 1, np.iinfo(name).max]], name)
    for binary in (True, False):
        chosen = {
            name: np.array([[0.1, 2, -3]], np.float32) if name == "FP32" and not binary else value
            for name, value in values.items() if binary or name not in ("FP16", "BF16")
        }
        inputs = [tensor(f"x_{name}", chosen.get(name, value), binary or name not in chosen) for name, value in values.items()]
        outputs = [http.InferRequestedOutput(f"y_{name}", binary_data=binary) for name in chosen]
        result = client.infer("types", inputs, outputs=outputs)
        for name, value in chosen.items():
            found = result.as_numpy(f"y_{name}")
            assert found.tobytes() == value.tobytes() and found.dtype == value.dtype, f"{name}: {found!r}, expected {value!r}"
    refused(400, "FP16", lambda: client.infer("types", inputs, outputs=[http.InferRequestedOutput("y_FP16", binary_data=False)]))


@check
def empty_and_large():
    for shape in ((1, 0), (1, 1_000_000)):
        value = np.random.default_rng(1).random(shape, np.float32)
        same(client.infer("plain", [tensor("x", value)]).as_numpy("y"), value)


@check
def compression():
    value = np.repeat(np.arange(100, dtype=np.float32), 100).reshape(1, -1)
    for request in (None, "gzip", "deflate"):
        for response in (None, "gzip", "deflate"):
            for binary in (True, False):
                outputs = [http.InferRequestedOutput("y", binary_data=binary)]
                result = client.infer(
                    "plain", [tensor("x", value, binary)], outputs=outputs, request_compression_algorithm=request, response_compression_algorithm=response)
                same(result.as_numpy("y"), value)
    for coding in ("gzip", "deflate"):
        body, json_bytes = client.generate_request_body([tensor("x", value)])
        headers = {"Inference-Header-Content-Length": str(json_bytes), "Accept-Encoding": coding}
        request = urllib.request.Request(f"http://{sys.argv[1]}/v2/models/plain/infer", data=body, headers=headers)
        answer = urllib.request.urlopen(request)
        assert answer.headers["Content-Encoding"] == coding and len(answer.read()) < value.nbytes / 4


@check
def classification():
    scores = np.array([[0.5, -1, 2, 0.25], [3, 4, 5, 6]], np.float32)
    expected = [["2.000000:2:two", "0.500000:0:zero"], ["6.000000:3", "5.000000:2:two"]]
    for binary in (True, False):
        outputs = [http.InferRequestedOutput("y", binary_data=binary, class_count=2)]
        found = client.infer("scores", [tensor("x", scores)], outputs=outputs).as_numpy("y")
        found = [[text.decode() if isinstance(text, bytes) else text for text in row] for row in found]
        assert found == expected, found


@check
def what_the_quick_start_asks():
    """A classifier of single images, as Triton's first example has it: reshaped, with the format and labels that its client reads."""
    config = client.get_model_config("densenet")
    assert config["max_batch_size"] == 0 and config["input"][0]["format"] == "FORMAT_NCHW", config
    assert client.get_model_metadata("densenet")["inputs"][0]["shape"] == [3, 4, 4]
    image = np.concatenate([np.full((1, 4, 4), value, np.float32) for value in (1, 3, 2)])
    outputs = [http.InferRequestedOutput("fc6_1", class_count=2)]
    found = client.infer("densenet", [tensor("data_0", image)], outputs=outputs).as_numpy("fc6_1")
    assert found.tolist() == [b"3.000000:1:one", b"2.000000:2:two"], found
    plain = client.infer("densenet", [tensor("data_0", image)])
    same(plain.as_numpy("fc6_1"), np.array([1, 3, 2], np.float32))
    assert len(plain.get_response()["outputs"]) == 1
    refused(400, "features", lambda: client.infer("densenet", [tensor("data_0", image)], outputs=[http.InferRequestedOutput("features")]))


@check
def many_at_once():
    pending = [client.async_infer("pair", pair()) for _ in range(8)]
    for one in pending:
        same(one.get_result().as_numpy("sum"), 3 * numbers)
    refused(400, "missing", lambda: client.async_infer("pair", pair()[:1]).get_result())


@check
def shared_memory():
    keys = {name: f"/glet_triton_client_{os.getpid()}_{name}" for name in ("given", "taken")}
    given, taken = (shm.create_shared_memory_region(name, key, 1 << 20) for name, key in keys.items())
    try:
        for name, key in keys.items():
            client.register_system_shared_memory(name, key, 1 << 20)
        assert [region["name"] for region in client.get_system_shared_memory_status()] == ["given", "taken"]
        for width in (3, 100_000):
            value = np.random.default_rng(width).random((1, width), np.float32)
            shm.set_shared_memory_region(given, [value], offset=64)
            x = http.InferInput("x", [1, width], "FP32")
            x.set_shared_memory("given", value.nbytes, offset=64)
            y = http.InferRequestedOutput("y")
            y.set_shared_memory("taken", value.nbytes, offset=128)
            client.infer("plain", [x], outputs=[y])
            same(shm.get_contents_as_numpy(taken, np.float32, [1, width], offset=128), value)
        refused(400, "registered already", lambda: client.register_system_shared_memory("given", keys["given"], 64))
        client.unregister_system_shared_memory("given")
        refused(400, "no registered region", lambda: client.infer("plain", [x], outputs=[y]))
        client.unregister_system_shared_memory()
        assert client.get_system_shared_memory_status() == []
    finally:
        shm.destroy_shared_memory_region(given)
        shm.destroy_shared_memory_region(taken)


@check
def repository_and_statistics():
    counted = client.get_inference_statistics("pair", "1")["model_stats"][0]["inference_count"]
    client.infer("pair", pair())
    assert client.get_inference_statistics("pair")["model_stats"][0]["inference_count"] == counted + 2
    client.unload_model("pair", unload_dependents=True)
    assert not client.is_model_ready("pair")
    assert {"name": "pair", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"} in client.get_model_repository_index()
    refused(503, "not loaded", lambda: client.infer("pair", pair()))
    client.load_model("pair", config=json.dumps({**client.get_model_config("pair"), "max_batch_size": 4}))
    assert client.get_model_config("pair")["max_batch_size"] == 4
    same(client.infer("pair", pair()).as_numpy("sum"), 3 * numbers)
    refused(400, "max_batch_size", lambda: client.load_model("pair", config='{"max_batch_sizes": 4}'))
    refused(404, "none", lambda: client.load_model("none"))


@check
def what_is_not_there_says_so():
    refused(501, "sequences are not supported", lambda: client.infer("pair", pair(), sequence_id=5, sequence_start=True))
    refused(501, "files cannot be sent", lambda: client.load_model("new", config="{}", files={"file:1/model.onnx": b"any"}))
    refused(413, "files cannot be sent", lambda: client.load_model("new", config="{}", files={"file:1/model.onnx": bytes(2_000_000)}))
    refused(501, "not supported", lambda: client.register_cuda_shared_memory("r", b"any", 0, 64))
    client.unregister_cuda_shared_memory()
    assert client.get_cuda_shared_memory_status() == []
    refused(501, "trace", client.get_trace_settings)
    refused(501, "trace", lambda: client.update_trace_settings("pair", {"trace_rate": "1"}))
    refused(501, "log", client.get_log_settings)
    refused(501, "log", lambda: client.update_log_settings({"log_verbose_level": 1}))
    refused(429, "deadline", lambda: client.infer("pair", pair(), timeout=1))


@check
def metrics():
    page = urllib.request.urlopen(f"http://{sys.argv[1]}/metrics").read().decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    for family in families.values():
        assert family.type in ("counter", "gauge", "histogram") and len(family.documentation) > 10, family.name
        if family.name.startswith("glet_") and family.type == "counter":
            assert f"# TYPE {family.name}_total counter" in page, family.name
        series = {}
        for sample in family.samples:
            labels = frozenset((key, value) for key, value in sample.labels.items() if key != "le")
            kept = series.setdefault((sample.name, labels), [])
            kept.append((float(sample.labels.get("le", "0")), sample.value))
        for (name, labels), kept in series.items():
            assert len({bound for bound, _ in kept}) == len(kept), f"{name} stands twice"
            if family.type == "histogram" and name.endswith("_bucket"):
                assert kept == sorted(kept) and [count for _, count in kept] == sorted(count for _, count in kept), f"{name} is not cumulative"
                assert kept[-1][0] == float("inf") and series[(f"{family.name}_count", labels)] == [(0.0, kept[-1][1])], name
    answered = {sample.labels["model"]: sample.value for sample in families["nv_inference_request_success"].samples}
    assert answered["plain"] > 20 and answered["types"] == 2, answered


failed = 0
for run in checks:
    try:
        run()
        print(f"ok {run.__name__}")
    except Exception as error:
        failed += 1
        print(f"FAILED {run.__name__}: {type(error).__name__}: {error}")
client.close()
sys.exit(0 if failed == 0 else 1)
