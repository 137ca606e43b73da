/**
 * What agent and runner send each other, over one stream, in both directions: frames (link/frame.ts) of these kinds.
 *
 * ```
 * control   meta = JSON; id = the request's number, which its reply repeats
 * run       meta = u32 model | u32 items | u32 entries | u32 symbols | u32 flags                      20 bytes
 *                  + entries x (u32 offset of the slot / 64 | u32 items)
 *                  + symbols x i32 value of an input symbol
 *                  + with the flag direct: tensors in clients' memory (directCodec.ts)
 * end       meta = u32 flags | u32 symbols | u32 columns | f32 inputMs | f32 inferMs | f32 outputMs    24 bytes
 *                  + symbols x i32 value of an output symbol, the same for all entries
 *                  + entries x columns x u32 bytes of an output that comes as payload, 0xffffffff where it does not
 *                  + with the flag direct: which entries' tensors in clients' memory could not be moved, as JSON
 *                  or without the flag ok: the failure as UTF-8
 * ```
 * `id` of run and end is the batch's number. Payload: with shared memory only overflowing outputs. Without it, a run frame carries of each
 * entry's slot what stands before its outputs, and an end frame its outputs, before what overflows (slotParts.ts).
 */
import { controlKind } from "../../link/frame.js"

/** Changes with every change of the frames, of the control messages or of what carries them. */
export const protocolVersion = 5

export const FrameKind = { control: controlKind, run: 2, end: 3 } as const

export const runHeadBytes = 20
export const endHeadBytes = 24
/** Unit of slot offsets. */
export const offsetUnit = 64

/** Flag of a run frame: the next one is expected soon after its end, poll for it. */
export const pollFlag = 1

/** Flag of an end frame: the batch ran. */
export const okFlag = 1
/** Flag of both: there is something to say of tensors in clients' memory. */
export const directFlag = 2
/** Stands for an output that needs no payload. */
export const noOverflow = 0xffffffff
