/** Where a glet's kernels run: the SMs of its share, and the priority of its streams. */
import { OpenFailure } from "../Engine.js"
import type { CudaDriver, GreenContext, Handle, SmGroups, WaitCondition } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { SmAllocation } from "./smAllocation.js"
import { changeUsers, chooseGroups, emptyAllocation, sharedUnits } from "./smAllocation.js"

/** Smallest number of SMs that a green context may have on devices of compute capability 9 and later. */
const leastSms = 8

export interface GletContext {
  /** SMs that it really has. */
  readonly units: number
  /** SMs of these that another glet runs on too, at this moment. */
  readonly sharedUnits: () => number
  readonly createStream: () => Handle
  /** What its graphs wait for between two steps, where they give way. */
  readonly giveWay: WaitCondition | undefined
  /**
   * Whether kernels that are launched one by one do so too. Not in a process that other glets live in: whoever launches or allocates may have to wait for
   * what waits on the GPU, and all other calls of the process with it, also those by which it could go on.
   */
  readonly givesWayLaunching: boolean
  /** Its streams must be gone. */
  readonly close: () => void
}

/** Makes the glets' contexts of one device. */
interface GletContexts {
  readonly open: (units: number, priority: number, giveWay?: WaitCondition) => GletContext
}

/** Our priorities are 0 normal, negative higher, positive lower; a device has a few, all at or below 0. A middle one is normal. */
export const streamPriority = ({ highest, lowest }: { readonly highest: number; readonly lowest: number }, priority: number): number =>
  Math.max(highest, Math.min(lowest, Math.ceil((highest + lowest) / 2) + priority))

/** Under `mps` and `stream` the device's own context serves all glets; under `green` each has a context of its own, unless it has all SMs. */
export const makeGletContexts = (driver: CudaDriver, isolation: "mps" | "green" | "stream"): GletContexts => {
  const { priorities, units: all } = driver.device
  let split: { readonly groups: SmGroups; allocation: SmAllocation } | undefined
  const groupsOf = () => {
    if (split === undefined) {
      const groups = driver.splitSms(leastSms, false)
      split = { groups, allocation: emptyAllocation(groups.units) }
    }
    return split
  }

  const openGreen = (wanted: number, priority: number, giveWay: WaitCondition | undefined): GletContext => {
    const sms = groupsOf()
    const chosen = chooseGroups(sms.allocation, wanted)
    if (chosen === undefined) throw new OpenFailure("share-unsupported", `${wanted} SMs are asked for, the device has ${all}`)
    const green: GreenContext = driver.createGreen(sms.groups, chosen)
    sms.allocation = changeUsers(sms.allocation, chosen, 1)
    return {
      units: green.units,
      sharedUnits: () => sharedUnits(sms.allocation, chosen),
      createStream: () => driver.createStream(streamPriority(priorities, priority), green),
      giveWay,
      givesWayLaunching: false,
      close: () => {
        sms.allocation = changeUsers(sms.allocation, chosen, -1)
        driver.destroyGreen(green)
      }
    }
  }

  return {
    open: (units, priority, giveWay) => {
      if (isolation === "green" && units < all) {
        try {
          return openGreen(units, priority, giveWay)
        } catch (error) {
          if (error instanceof CudaError) throw new OpenFailure(error.isOutOfMemory ? "no-memory" : "device-missing", error.message)
          throw error
        }
      }
      return {
        units: all,
        sharedUnits: () => 0,
        createStream: () => driver.createStream(streamPriority(priorities, priority), undefined),
        giveWay,
        givesWayLaunching: isolation === "mps",
        close: () => undefined
      }
    }
  }
}
