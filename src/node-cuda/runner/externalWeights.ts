/**
 * Weights that stand beside a model's file, as this process's own. ONNX Runtime on the CPU maps such files, and computes with whatever stands in them
 * at that moment: written over in place they would change the answers of sessions that are open, and cut off they would end the process (SIGBUS).
 */
import * as fs from "node:fs/promises"
import { setImmediate } from "node:timers/promises"
import { MessageChannel } from "node:worker_threads"
import type { ModelFile } from "../../core/ModelFile.js"

export interface ExternalWeights {
  /** As the model's file names them. */
  readonly location: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Of one read: more at once goes no faster. */
const pieceBytes = 64 << 20

const readWhole = async ({ path, sizeBytes }: ModelFile): Promise<Uint8Array<ArrayBuffer>> => {
  const handle = await fs.open(path, "r")
  try {
    const bytes = new Uint8Array(sizeBytes)
    for (let at = 0; at < sizeBytes;) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(pieceBytes, sizeBytes - at), at)
      if (bytesRead === 0) throw new Error(`${path} ends after ${at} of ${sizeBytes} bytes`)
      at += bytesRead
    }
    return bytes
  } finally {
    await handle.close()
  }
}

/** Gives memory back now, not when something collects it: sent to nobody, it is gone a turn after nobody can take it any more. */
const freeNow = async (buffers: ReadonlyArray<ArrayBuffer>): Promise<void> => {
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(null, [...buffers])
  port1.close()
  port2.close()
  for (let turn = 0; turn < 2; turn++) await setImmediate()
}

/** What `use` makes of them; none where nobody knows of such files. They are gone afterwards: what a model takes of memory is measured by the process. */
export const withExternalWeights = async <A>(
  files: ReadonlyArray<ModelFile>, use: (weights: ReadonlyArray<ExternalWeights>) => Promise<A>
): Promise<A> => {
  const weights: Array<ExternalWeights> = []
  try {
    for (const file of files) if (file.location !== undefined) weights.push({ location: file.location, bytes: await readWhole(file) })
    return await use(weights)
  } finally {
    if (weights.length > 0) await freeNow(weights.map(({ bytes }) => bytes.buffer))
  }
}
