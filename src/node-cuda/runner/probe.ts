/**
 * What the driver says of the device that this process sees first, without making a context on it: a context takes half a gigabyte, and another
 * process may own the device. One line of JSON on stdout; agents start `runner.js probe` with `CUDA_VISIBLE_DEVICES` set to one device.
 */
import type { NativeFunction } from "../internal/native.js"
import { loadKoffi } from "../internal/native.js"
import { textOf } from "../../core/internal/loadFailure.js"

/** The answer. */
export type Probed =
  | {
    readonly ok: true
    readonly name: string
    /** SMs; under MPS those of the active thread percentage. */
    readonly units: number
    readonly memoryBytes: number
    readonly computeCapability: readonly [number, number]
    /** As the driver numbers it, e.g. 13000 for CUDA 13.0. */
    readonly driverVersion: number
    /** Groups of SMs that green contexts can have, what is left over as one more; 0 where the driver has no green contexts. */
    readonly smGroups: number
  }
  | { readonly ok: false; readonly detail: string }

const signatures = {
  cuInit: "int cuInit(unsigned int flags)",
  cuGetErrorName: "int cuGetErrorName(int error, _Out_ const char **name)",
  cuDriverGetVersion: "int cuDriverGetVersion(void *version)",
  cuDeviceGet: "int cuDeviceGet(void *device, int ordinal)",
  cuDeviceGetName: "int cuDeviceGetName(void *name, int length, int device)",
  cuDeviceGetAttribute: "int cuDeviceGetAttribute(void *value, int attribute, int device)",
  cuDeviceTotalMem: "int cuDeviceTotalMem_v2(void *bytes, int device)"
} as const
/** Since CUDA 12.4. */
const greenSignatures = {
  cuDeviceGetDevResource: "int cuDeviceGetDevResource(int device, void *resource, int type)",
  cuDevSmResourceSplitByCount:
    "int cuDevSmResourceSplitByCount(void *result, void *groups, void *input, void *remainder, unsigned int flags, unsigned int least)"
} as const

const attribute = { multiprocessorCount: 16, capabilityMajor: 75, capabilityMinor: 76 } as const
const smResource = 1
/** sizeof(CUdevResource), and where `sm.smCount` stands in it. */
const resource = { bytes: 144, smCountAt: 96 } as const
/** Fewest SMs that a green context may have, by compute capability. */
const leastSms = (major: number): number => (major >= 9 ? 8 : major >= 8 ? 4 : 2)

const probe = (): Probed => {
  const library = loadKoffi().load("libcuda.so.1")
  const bind = <K extends string>(table: Readonly<Record<K, string>>) =>
    Object.fromEntries(Object.entries<string>(table).map(([name, signature]) => [name, library.func(signature)])) as Readonly<Record<K, NativeFunction>>
  const f = bind(signatures)
  const check = (call: string, code: unknown): void => {
    if (code === 0) return
    const name: [string | null] = [null]
    f.cuGetErrorName(code, name)
    throw new Error(`${call} failed with ${name[0] ?? "an unknown error"} (${String(code)})`)
  }
  check("cuInit", f.cuInit(0))
  const int = new Int32Array(1)
  const long = new BigUint64Array(1)
  check("cuDriverGetVersion", f.cuDriverGetVersion(int))
  const driverVersion = int[0]!
  check("cuDeviceGet", f.cuDeviceGet(int, 0))
  const device = int[0]!
  const text = Buffer.alloc(256)
  check("cuDeviceGetName", f.cuDeviceGetName(text, text.length, device))
  const attributeOf = (which: number): number => {
    check("cuDeviceGetAttribute", f.cuDeviceGetAttribute(int, which, device))
    return int[0]!
  }
  const major = attributeOf(attribute.capabilityMajor)
  check("cuDeviceTotalMem", f.cuDeviceTotalMem(long, device))

  const smGroups = (): number => {
    let green
    try {
      green = bind(greenSignatures)
    } catch {
      return 0
    }
    const whole = new Uint8Array(resource.bytes)
    const rest = new Uint8Array(resource.bytes)
    if (green.cuDeviceGetDevResource(device, whole, smResource) !== 0) return 0
    // Without room for the groups it only counts them; with it, it also says what is left over.
    if (green.cuDevSmResourceSplitByCount(null, int, whole, null, 0, leastSms(major)) !== 0) return 0
    const groups = new Uint8Array(Math.max(1, int[0]!) * resource.bytes)
    if (green.cuDevSmResourceSplitByCount(groups, int, whole, rest, 0, leastSms(major)) !== 0) return 0
    return int[0]! + (new DataView(rest.buffer).getUint32(resource.smCountAt, true) >= leastSms(major) ? 1 : 0)
  }
  return {
    ok: true,
    name: text.toString("utf8", 0, text.indexOf(0)),
    units: attributeOf(attribute.multiprocessorCount),
    memoryBytes: Number(long[0]),
    computeCapability: [major, attributeOf(attribute.capabilityMinor)],
    driverVersion,
    smGroups: smGroups()
  }
}

export const runProbe = (): void => {
  let answer: Probed
  try {
    answer = probe()
  } catch (error) {
    answer = { ok: false, detail: textOf(error) }
  }
  // The driver's threads would keep the process; its destructors are not needed.
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0))
}
