/**
 * Memory that clients on this host share with the server (the system shared-memory extension): a client registers a POSIX shared-memory object,
 * and its requests then say where in it a tensor is.
 *
 * A region is never mapped here. Its owner may shrink it at any time, and touching a page that is gone kills the process (SIGBUS), which no
 * check before can rule out. It is read and written by position through its file (sharedCopies.ts). Where glets know the region, large tensors are
 * left where they are.
 */
import * as fs from "node:fs"
import { type ClientMemory, type ClientRegion, directItemBytes, type DirectTensor } from "../../core/ClientMemory.js"
import type { InvalidRequest } from "../../core/RequestError.js"
import { invalid, isCount, type Json, notImplemented, type RequestProblem, shown } from "./jsonValue.js"

/** Where Linux keeps POSIX shared-memory objects. */
const folder = "/dev/shm"
const keyPattern = /^\/?([A-Za-z0-9][A-Za-z0-9._-]{0,200})$/
const namePattern = /^[^\u0000-\u001f]{1,256}$/
/** What is said where the extension is not on. */
export const sharedMemoryIsOff = "shared memory of clients is off; start the server with --shared-memory"
/** Every region holds a file open. */
const maxRegions = 256

/** As the status shows it. */
interface RegionStatus {
  readonly name: string
  readonly key: string
  readonly offset: number
  readonly byte_size: number
  /** Whether glets read and write it themselves; absent where they never do. */
  readonly direct?: boolean
}

/** The very object that a region is, whatever its owner has done to its name since: another process of ours opens it by this. */
export interface RegionObject {
  readonly path: string
  readonly device: number
  readonly inode: number
}

/** How glets know a region. */
interface GletRegion {
  readonly number: number
  /** Whether tensors in it are to be left there. */
  isDirect: boolean
}

export class SharedRegion {
  private users = 1
  /** Undefined where glets do not know it. */
  glets: GletRegion | undefined

  constructor(readonly placed: RegionStatus, readonly fd: number, readonly isWritable: boolean, private readonly onClosed: (region: SharedRegion) => void) {}

  get status(): RegionStatus {
    return this.glets === undefined ? this.placed : { ...this.placed, direct: this.glets.isDirect }
  }

  object(): RegionObject {
    const { dev, ino } = fs.fstatSync(this.fd)
    return { path: `/proc/${process.pid}/fd/${this.fd}`, device: dev, inode: ino }
  }

  retain(): void {
    this.users += 1
  }

  /** The file closes with its last user. */
  release(): void {
    this.users -= 1
    if (this.users > 0) return
    this.onClosed(this)
    fs.closeSync(this.fd)
  }
}

/** A piece of a region. */
export interface SharedRange {
  readonly region: SharedRegion
  /** From the beginning of the region. */
  readonly offset: number
  readonly byteLength: number
}

/** What makes a region known to another process of ours. */
export const registerMessage = (region: SharedRegion) => {
  const { byte_size, key, name, offset } = region.placed
  return {
    type: "register", region: name, body: { key, offset, byte_size }, object: region.object(), ...(region.glets === undefined ? {} : { glets: region.glets })
  } as const
}

const openObject = (file: string, follow: number): { readonly fd: number; readonly isWritable: boolean } => {
  // Opening a pipe must not wait for its other end.
  const { O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants
  try {
    return { fd: fs.openSync(file, O_RDWR | follow | O_NONBLOCK), isWritable: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error
    return { fd: fs.openSync(file, O_RDONLY | follow | O_NONBLOCK), isWritable: false }
  }
}

/** How glets come to know regions: by `memory`, in the process that has the executor; elsewhere by what that process tells. */
export interface SharedRegionsOptions {
  /** Where the objects are. */
  readonly root?: string
  readonly memory?: ClientMemory | undefined
  /** Told when glets begin, or cease, to read and write a region themselves. */
  readonly onDirect?: (number: number, isDirect: boolean) => void
}

export class SharedRegions {
  private readonly regions = new Map<string, SharedRegion>()
  /** Those that glets know, also unregistered ones that are still in use. */
  private readonly byNumber = new Map<number, SharedRegion>()
  private readonly known = new Map<SharedRegion, ClientRegion>()
  private readonly root: string

  constructor(private readonly options: SharedRegionsOptions = {}) {
    this.root = options.root ?? folder
  }

  find(name: string): SharedRegion | undefined {
    return this.regions.get(name)
  }

  /** The region that glets know by this number. */
  numbered(number: number): SharedRegion | undefined {
    return this.byNumber.get(number)
  }

  /** In a process without the executor: what the one with it has told of a region. */
  setDirect(number: number, isDirect: boolean): void {
    const glets = this.byNumber.get(number)?.glets
    if (glets !== undefined) glets.isDirect = isDirect
  }

  all(): ReadonlyArray<SharedRegion> {
    return [...this.regions.values()]
  }

  status(): ReadonlyArray<RegionStatus> {
    return this.all().map(({ status }) => status)
  }

  /** Makes a region known, or says what is wrong with it. `known`: the object that another process of ours has opened by its name; `glets`: how they know it. */
  register(name: string, body: ReadonlyMap<string, unknown>, known?: RegionObject, glets?: GletRegion): InvalidRequest | undefined {
    const key = body.get("key")
    const offset = body.get("offset") ?? 0
    const size = body.get("byte_size")
    if (!namePattern.test(name)) return invalid("region", "needs a name of 1 to 256 characters")
    const object = typeof key === "string" ? keyPattern.exec(key)?.[1] : undefined
    if (typeof key !== "string" || object === undefined) {
      return invalid("key", `must be the name of a shared-memory object, as shm_open takes it: letters, digits, ".", "_" and "-", at most 200`)
    }
    if (!isCount(offset)) return invalid("offset", "must be a whole number of bytes")
    if (!isCount(size) || size === 0) return invalid("byte_size", "must be a whole number of bytes above 0")
    if (this.regions.has(name)) return invalid("region", `"${name}" is registered already; unregister it first`)
    if (this.regions.size >= maxRegions) return invalid("region", `${maxRegions} regions are registered, more are not possible; unregister some`)
    let opened: ReturnType<typeof openObject>
    try {
      // A link in that folder could lead out of it; those of open files are meant to be followed.
      opened = known === undefined ? openObject(`${this.root}/${object}`, fs.constants.O_NOFOLLOW) : openObject(known.path, 0)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const why = code === "ENOENT"
        ? "there is no such shared-memory object"
        : code === "EACCES" ? "the server's user may not read it" : `it cannot be opened (${code ?? String(error)})`
      return invalid("key", `${JSON.stringify(key)}: ${why}`)
    }
    const region = new SharedRegion({ name, key, offset, byte_size: size }, opened.fd, opened.isWritable, this.onClosed)
    const stat = fs.fstatSync(opened.fd)
    if (known !== undefined && (stat.dev !== known.device || stat.ino !== known.inode)) {
      region.release()
      return invalid("region", `"${name}" was unregistered meanwhile`)
    }
    // One that has shrunk since another process registered it is a region all the same, whose requests get that told as everywhere.
    if (!stat.isFile() || (known === undefined && offset + size > stat.size)) {
      region.release()
      return stat.isFile()
        ? invalid("byte_size", `the object has ${stat.size} bytes, offset and byte_size ask for ${offset + size}`)
        : invalid("key", `${JSON.stringify(key)} is no shared-memory object`)
    }
    this.regions.set(name, region)
    if (glets !== undefined) this.know(region, { ...glets })
    else this.tellGlets(region)
    return undefined
  }

  /**
   * Forgets a region, or all, and answers what was forgotten, for the caller to release: requests that use it end first. Unknown names are ignored,
   * as in Triton.
   */
  remove(name?: string): ReadonlyArray<SharedRegion> {
    const removed = (name === undefined ? [...this.regions.values()] : [this.regions.get(name)]).filter((region) => region !== undefined)
    for (const region of removed) {
      this.regions.delete(region.placed.name)
      if (region.glets !== undefined) region.glets.isDirect = false
    }
    return removed
  }

  unregister(name?: string): void {
    for (const region of this.remove(name)) region.release()
  }

  private know(region: SharedRegion, glets: GletRegion): void {
    region.glets = glets
    this.byNumber.set(glets.number, region)
  }

  private tellGlets(region: SharedRegion): void {
    const { memory, onDirect } = this.options
    if (memory === undefined) return
    const { isWritable, placed } = region
    let isDirect = false
    const known = memory.open({ name: placed.key, ...region.object(), isWritable, endBytes: placed.offset + placed.byte_size }, (now) => {
      isDirect = now
      if (region.glets === undefined || this.regions.get(placed.name) !== region) return
      region.glets.isDirect = now
      onDirect?.(region.glets.number, now)
    })
    this.known.set(region, known)
    this.know(region, { number: known.number, isDirect })
  }

  private readonly onClosed = (region: SharedRegion): void => {
    if (region.glets !== undefined) this.byNumber.delete(region.glets.number)
    this.known.get(region)?.release()
    this.known.delete(region)
  }
}

/**
 * What to call a tensor of so many bytes that is left in its client's memory; undefined where it is to be copied. Small ones go
 * through the slot.
 */
export const directTensor = (
  range: SharedRange | undefined, side: DirectTensor["side"], index: number, bytes: number, items: number
): DirectTensor | undefined => {
  const glets = range?.region.glets
  if (range === undefined || glets?.isDirect !== true || bytes < directItemBytes * items || range.byteLength < bytes) return undefined
  return { side, index, region: glets.number, position: range.region.placed.offset + range.offset }
}

/** The range that a tensor's parameters name; undefined where they name none. */
export const sharedRange = (
  regions: SharedRegions | undefined,
  parameters: Json,
  field: string,
  needsWrite: boolean
): SharedRange | RequestProblem | undefined => {
  const { shared_memory_byte_size: size, shared_memory_offset: offset = 0, shared_memory_region: name } = parameters
  if (name === undefined) return undefined
  const wrong = (parameter: string, problem: string) => invalid(`${field}.parameters.${parameter}`, problem)
  if (regions === undefined) return notImplemented(`${field}.parameters.shared_memory_region`, sharedMemoryIsOff)
  const region = typeof name === "string" ? regions.find(name) : undefined
  if (region === undefined) return wrong("shared_memory_region", `is no registered region, found ${shown(name)}`)
  if (!isCount(size)) return wrong("shared_memory_byte_size", `must be a whole number of bytes, found ${shown(size)}`)
  if (!isCount(offset)) return wrong("shared_memory_offset", `must be a whole number of bytes, found ${shown(offset)}`)
  if (offset + size > region.placed.byte_size) {
    return wrong("shared_memory_byte_size", `${size} bytes from ${offset} on are more than the ${region.placed.byte_size} of the region`)
  }
  if (needsWrite && !region.isWritable) return wrong("shared_memory_region", "the server's user may read it but not write it")
  return { region, offset, byteLength: size }
}
