/** Which devices CUDA_VISIBLE_DEVICES names. Pure. */
import type { SmiDevice } from "./nvidiaSmi.js"

export interface VisibleDevices {
  /** In the host's order. */
  readonly devices: ReadonlyArray<SmiDevice>
  /** The first name that no device has, or more than one; like CUDA, it hides what follows. */
  readonly unknown: string | undefined
}

/** Names in the variable's text; undefined where it is not set: then all are visible. Set to nothing it hides all. */
export const namesIn = (text: string | undefined): ReadonlyArray<string> | undefined =>
  text === undefined ? undefined : text.split(",").map((name) => name.trim()).filter((name) => name !== "")

/** A GPU that MIG cuts stands for all of its instances, by its index as by its UUID. */
const named = (devices: ReadonlyArray<SmiDevice>, name: string): ReadonlyArray<SmiDevice> => {
  const exact = devices.filter(({ uuid }) => uuid === name)
  if (exact.length > 0) return exact
  if (/^\d+$/.test(name)) return devices.filter(({ smi }) => smi.index === Number(name))
  const beginning = devices.filter(({ uuid }) => uuid.startsWith(name))
  if (beginning.length > 0) return beginning.length === 1 ? beginning : []
  const parts = devices.filter(({ mig }) => mig?.parent.startsWith(name))
  return new Set(parts.map(({ mig }) => mig?.parent)).size === 1 ? parts : []
}

/** Names are indices as nvidia-smi counts, UUIDs, or beginnings of UUIDs that only one device has. */
export const visibleDevices = (devices: ReadonlyArray<SmiDevice>, names: ReadonlyArray<string>): VisibleDevices => {
  const chosen = new Set<SmiDevice>()
  let unknown: string | undefined
  for (const name of names) {
    const found = named(devices, name)
    if (found.length === 0) {
      unknown = name
      break
    }
    for (const device of found) chosen.add(device)
  }
  return { devices: devices.filter((device) => chosen.has(device)), unknown }
}
