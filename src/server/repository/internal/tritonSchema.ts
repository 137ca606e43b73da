/**
 * Triton's model configuration (model_config.proto): which fields there are, of which type, and what becomes of them here.
 * A field that this server does not know of is an error, so that a typing mistake never goes unnoticed.
 */

export type FieldType =
  | "string" | "bool" | "int32" | "uint32" | "int64" | "uint64" | "double"
  | { readonly values: ReadonlyArray<string> }
  | { readonly message: Descriptor }
  | { readonly key: "string" | "uint64"; readonly map: FieldType }

export interface FieldRule {
  readonly type: FieldType
  readonly repeated?: true
  /** Refused, unless it has the value that changes nothing (false, empty): why. */
  readonly unsupported?: string
  /** Accepted and shown, but it decides nothing here: why. */
  readonly noEffect?: string
  /** The value besides false of which nothing need be said. */
  readonly unless?: string
}

export type Descriptor = ReadonlyMap<string, FieldRule>

const describe = (fields: Readonly<Record<string, FieldType | FieldRule>>): Descriptor =>
  new Map(Object.entries(fields).map(([name, rule]): [string, FieldRule] => [
    name, typeof rule === "object" && "type" in rule ? rule : { type: rule }
  ]))
const message = (fields: Readonly<Record<string, FieldType | FieldRule>>): FieldType => ({ message: describe(fields) })
const repeated = (type: FieldType): FieldRule => ({ type, repeated: true })
const stringMap: FieldType = { key: "string", map: "string" }
const parameters: FieldType = { key: "string", map: message({ string_value: "string" }) }
const dataType: FieldType = {
  values: [
    "TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64", "TYPE_INT8", "TYPE_INT16", "TYPE_INT32", "TYPE_INT64",
    "TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_STRING", "TYPE_BF16"
  ]
}
const reshape: FieldType = message({ shape: repeated("int64") })
const shapeTensor: FieldRule = { type: "bool", unsupported: "shape tensors belong to TensorRT" }
const nonLinear: FieldRule = { type: "bool", unsupported: "non-linear formats belong to TensorRT" }

const input = message({
  name: "string",
  data_type: dataType,
  format: { type: { values: ["FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"] }, unless: "FORMAT_NONE", noEffect: "clients are told, and tensors taken in the order that the file has" },
  dims: repeated("int64"),
  reshape,
  is_shape_tensor: shapeTensor,
  allow_ragged_batch: { type: "bool", unsupported: "requests of different shapes are not joined" },
  optional: { type: "bool", unsupported: "every input must be sent" },
  is_non_linear_format_io: nonLinear
})
const output = message({
  name: "string",
  data_type: dataType,
  dims: repeated("int64"),
  reshape,
  label_filename: "string",
  is_shape_tensor: shapeTensor,
  is_non_linear_format_io: nonLinear
})

const queuePolicy = message({
  timeout_action: { values: ["REJECT", "DELAY"] },
  default_timeout_microseconds: "uint64",
  allow_timeout_override: "bool",
  max_queue_size: "uint32"
})
const scheduled = "batches, queues and deadlines follow from the SLO"
const dynamicBatching = message({
  preferred_batch_size: { type: "int32", repeated: true, noEffect: scheduled },
  max_queue_delay_microseconds: { type: "uint64", noEffect: scheduled },
  preserve_ordering: { type: "bool", unsupported: "answers leave as soon as they are there" },
  priority_levels: { type: "uint64", noEffect: "requests carry their priority" },
  default_priority_level: { type: "uint64", noEffect: "requests carry their priority" },
  default_queue_policy: { type: queuePolicy, noEffect: scheduled },
  priority_queue_policy: { type: { key: "uint64", map: queuePolicy }, noEffect: scheduled }
})

const instanceGroup = message({
  name: "string",
  kind: { values: ["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"] },
  count: "int32",
  rate_limiter: message({
    resources: repeated(message({ name: "string", global: "bool", count: "uint32" })),
    priority: "uint32"
  }),
  gpus: repeated("int32"),
  secondary_devices: repeated(message({ kind: { values: ["KIND_NVDLA"] }, device_id: "int64" })),
  profile: repeated("string"),
  passive: "bool",
  host_policy: "string"
})

const graphShapes: FieldType = { key: "string", map: message({ dim: repeated("int64") }) }
const accelerator = message({ name: "string", parameters: stringMap })
const optimization = message({
  graph: message({ level: "int32" }),
  priority: { values: ["PRIORITY_DEFAULT", "PRIORITY_MAX", "PRIORITY_MIN"] },
  cuda: message({
    graphs: "bool",
    busy_wait_events: "bool",
    graph_spec: repeated(message({
      batch_size: "int32",
      input: graphShapes,
      graph_lower_bound: message({ batch_size: "int32", input: graphShapes })
    })),
    output_copy_stream: "bool"
  }),
  execution_accelerators: message({ gpu_execution_accelerator: repeated(accelerator), cpu_execution_accelerator: repeated(accelerator) }),
  input_pinned_memory: message({ enable: "bool" }),
  output_pinned_memory: message({ enable: "bool" }),
  gather_kernel_buffer_threshold: "uint32",
  eager_batching: "bool"
})

const warmup = message({
  name: "string",
  batch_size: "uint32",
  inputs: {
    key: "string",
    map: message({ data_type: dataType, dims: repeated("int64"), zero_data: "bool", random_data: "bool", input_data_file: "string" })
  },
  count: "uint32"
})

const anything: FieldType = { message: new Map() }

/** `ModelConfig`. Fields of what is refused as a whole are not described. */
export const modelConfig: Descriptor = describe({
  name: "string",
  platform: "string",
  backend: "string",
  runtime: { type: "string", unsupported: "models run in onnxruntime only" },
  version_policy: message({
    latest: message({ num_versions: "uint32" }),
    all: message({}),
    specific: message({ versions: repeated("int64") })
  }),
  max_batch_size: "int32",
  input: { type: input, repeated: true },
  output: { type: output, repeated: true },
  batch_input: { type: anything, repeated: true, unsupported: "ragged batches are not joined" },
  batch_output: { type: anything, repeated: true, unsupported: "ragged batches are not joined" },
  optimization: { type: optimization, noEffect: "the executor chooses how it runs a model" },
  dynamic_batching: dynamicBatching,
  sequence_batching: { type: anything, unsupported: "stateful models are not served" },
  ensemble_scheduling: { type: anything, unsupported: "ensembles are not served" },
  instance_group: { type: instanceGroup, repeated: true, noEffect: "the planner places models on glets" },
  default_model_filename: "string",
  cc_model_filenames: { type: stringMap, unsupported: "one file serves all devices" },
  metric_tags: { type: stringMap, noEffect: "metrics carry model and version only" },
  parameters,
  model_warmup: { type: warmup, repeated: true, noEffect: "every batch size of the plan is warmed up anyway" },
  model_operations: { type: anything, unsupported: "custom operator libraries are not loaded" },
  model_transaction_policy: message({ decoupled: { type: "bool", unsupported: "a request has exactly one response" } }),
  model_repository_agents: { type: anything, unsupported: "repository agents are not loaded" },
  response_cache: message({ enable: { type: "bool", noEffect: "responses are not cached" } }),
  model_metrics: {
    type: message({
      metric_control: repeated(message({
        metric_identifier: message({ family: "string" }),
        histogram_options: message({ buckets: repeated("double") })
      }))
    }),
    noEffect: "histograms take their buckets from the SLO"
  }
})
