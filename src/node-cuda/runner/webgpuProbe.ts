/**
 * Whether onnxruntime's WebGPU provider works here, found by running something on it; and which devices the Vulkan loader lists, since neither
 * onnxruntime nor dawn names the one it takes. In a process of its own: drivers may crash. One line of JSON on stdout.
 */
import { createRequire } from "node:module"
import { textOf } from "../../core/internal/loadFailure.js"
import { loadKoffi } from "../internal/native.js"

/** A device as Vulkan names it. `cpu` is a software driver. */
export interface VulkanDevice {
  readonly name: string
  readonly kind: "other" | "integrated" | "discrete" | "virtual" | "cpu"
}

export interface WebGpuProbed {
  /** Why it does not work; undefined where it does. */
  readonly problem: string | undefined
  /** Undefined where Vulkan cannot be asked: on macOS and Windows dawn uses other interfaces. */
  readonly devices: ReadonlyArray<VulkanDevice> | undefined
}

/** `y = max(x, 0)` of two floats. */
const model = "CAgSCmdsZXQtb3Jpb246NwoMCgF4EgF5IgRSZWx1EgVwcm9iZVoPCgF4EgoKCAgBEgQKAggCYg8KAXkSCgoICAESBAoCCAJCAhAR"

const kinds = ["other", "integrated", "discrete", "virtual", "cpu"] as const
/** sizeof(VkInstanceCreateInfo); its first word says what it is. */
const createInfo = { bytes: 64, type: 1 } as const
/** More than VkPhysicalDeviceProperties takes, and where its fields stand. */
const properties = { bytes: 4096, kindAt: 16, nameAt: 20, nameBytes: 256 } as const

const vulkanDevices = (): ReadonlyArray<VulkanDevice> | undefined => {
  let library
  try {
    library = loadKoffi().load("libvulkan.so.1")
  } catch {
    return undefined
  }
  const createInstance = library.func("int vkCreateInstance(void *info, void *allocator, void *instance)")
  const enumerate = library.func("int vkEnumeratePhysicalDevices(uint64_t instance, void *count, void *devices)")
  const describe = library.func("void vkGetPhysicalDeviceProperties(uint64_t device, void *properties)")
  const info = new Uint8Array(createInfo.bytes)
  new DataView(info.buffer).setUint32(0, createInfo.type, true)
  const instance = new BigUint64Array(1)
  if (createInstance(info, null, instance) !== 0) return []
  const count = new Uint32Array(1)
  if (enumerate(instance[0], count, null) !== 0) return []
  const devices = new BigUint64Array(Math.max(1, count[0]!))
  if (enumerate(instance[0], count, devices) !== 0) return []
  return Array.from(devices.subarray(0, count[0]), (device) => {
    const bytes = Buffer.alloc(properties.bytes)
    describe(device, bytes)
    const name = bytes.subarray(properties.nameAt, properties.nameAt + properties.nameBytes)
    return { name: name.toString("utf8", 0, name.indexOf(0)), kind: kinds[bytes.readUInt32LE(properties.kindAt)] ?? "other" }
  })
}

const tryProvider = async (): Promise<string | undefined> => {
  try {
    const ort = createRequire(import.meta.url)("onnxruntime-node") as typeof import("onnxruntime-node")
    const session = await ort.InferenceSession.create(Buffer.from(model, "base64"), { executionProviders: ["webgpu"], logSeverityLevel: 4 })
    const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(-1, 2), [2]) })
    const [first, second] = y!.data as Float32Array
    return first === 0 && second === 2 ? undefined : `it computes max(-1, 0) as ${first} and max(2, 0) as ${second}`
  } catch (error) {
    return textOf(error)
  }
}

export const runWebGpuProbe = async (): Promise<void> => {
  let devices
  try {
    devices = vulkanDevices()
  } catch {
    devices = undefined
  }
  const answer: WebGpuProbed = { problem: await tryProvider(), devices }
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0))
}
