/**
 * What keeps a host's NVIDIA GPUs from being used.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const hints = {
  "no-driver": "install the NVIDIA driver (580 or newer), and in a container start it with the NVIDIA container toolkit (--gpus all)",
  "no-gpu": "see nvidia-smi -L, and whether CUDA_VISIBLE_DEVICES hides them; --executor cpu serves without",
  "nvidia-smi-failed": "run nvidia-smi by hand; a driver that was updated needs its modules loaded anew or a reboot",
  "unreadable": "report the output of the command as a bug",
  "probe-failed": "glet doctor says what is missing",
  "isolation-unsupported": "take --isolation auto, or mend what is said",
  "provider-missing": "run glet cuda install; glet doctor says what is missing",
  "mps-failed": "see docs/cuda.md, or take --isolation green or stream"
} as const

/**
 * GPUs cannot be used, or not in the way asked for.
 * @since 0.1.0
 * @category errors
 */
export class CudaUnavailable extends Schema.TaggedError<CudaUnavailable>()("CudaUnavailable", {
  reason: Schema.Literal(
    "no-driver", "no-gpu", "nvidia-smi-failed", "unreadable", "probe-failed", "isolation-unsupported", "provider-missing", "mps-failed"
  ),
  /** GPU or command. */
  subject: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.subject}: ${this.detail}; ${hints[this.reason]}`
  }
}
