/** Talks to an MPS control daemon: commands go to `nvidia-cuda-mps-control` on stdin, one at a time; the daemon is known by its pipe directory. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { isAlive } from "./isAlive.js"
import { runCommand } from "./runCommand.js"

export const mpsControlName = "nvidia-cuda-mps-control"
/** Where a daemon listens that was started without a directory of its own. */
const defaultPipeDirectory = "/tmp/nvidia-mps"
const timeoutMs = 10_000
/** The daemon's socket is named below the directory, and such a name may have 107 bytes. */
const longestSocketName = 107

/** A daemon did not do what it was asked. */
interface MpsFailure {
  readonly detail: string
}

/** The program, if it is on PATH. */
export const mpsControlPath = (env: NodeJS.ProcessEnv = process.env): string | undefined =>
  (env["PATH"] ?? "").split(path.delimiter).filter(path.isAbsolute).map((folder) => path.join(folder, mpsControlName)).find((file) => fs.existsSync(file))

/** The directory of the daemon that we start for a GPU; one per user, so that nobody waits for another user's server. */
export const ownPipeDirectory = (uuid: string, env: NodeJS.ProcessEnv = process.env): string =>
  path.join(env["GLET_MPS_DIRECTORY"] ?? path.join(os.tmpdir(), `glet-orion-mps-${process.getuid?.() ?? 0}`), uuid)

/** Undefined where a daemon can listen there. */
export const pipeDirectoryProblem = (directory: string): string | undefined => {
  const socket = path.join(directory, "control_privileged")
  const bytes = Buffer.byteLength(socket)
  return bytes <= longestSocketName ? undefined : `${socket} has ${bytes} bytes, a socket's name at most ${longestSocketName}; set GLET_MPS_DIRECTORY to a shorter folder`
}

/** Sends one command and takes its answer. */
export const mpsCommand = (pipeDirectory: string, command: string, withinMs = timeoutMs): Effect.Effect<string, MpsFailure> =>
  runCommand(mpsControlName, [], { timeoutMs: withinMs, input: `${command}\n`, env: { CUDA_MPS_PIPE_DIRECTORY: pipeDirectory } }).pipe(
    Effect.flatMap(({ code, stderr, stdout }) => {
      const text = `${stdout}${stderr}`.trim()
      return code === 0 && !/^Cannot find MPS control daemon/m.test(text)
        ? Effect.succeed(stdout.trim())
        : Effect.fail({ detail: `${command}: ${text === "" ? `exit code ${code}` : text.slice(0, 500)}` })
    })
  )

const pidsOf = (answer: string): ReadonlyArray<number> => [...answer.matchAll(/^\s*(\d+)\s*$/gm)].map((match) => Number(match[1]))

/** Processes of its servers. There is one per user, and only while the user has clients or had one. */
export const serverList = (pipeDirectory: string): Effect.Effect<ReadonlyArray<number>, MpsFailure> =>
  Effect.map(mpsCommand(pipeDirectory, "get_server_list"), pidsOf)

/** Processes of a server's clients. */
export const clientList = (pipeDirectory: string, server: number): Effect.Effect<ReadonlyArray<number>, MpsFailure> =>
  Effect.map(mpsCommand(pipeDirectory, `get_client_list ${server}`), pidsOf)

/** Whether a server takes clients: `FAULT` from a fatal exception of any client until all of its clients have ended. */
export const serverStatus = (pipeDirectory: string, server: number): Effect.Effect<string, MpsFailure> =>
  Effect.map(mpsCommand(pipeDirectory, `get_server_status ${server}`), (answer) => answer.split("\n").at(-1)!.trim())

/** A client that is stopped never answers the server, which waits for it. */
const terminateMs = 2_000

/** Takes the GPU from a client, whose process lives on; others do not notice, as they may when it is killed in the midst of its work. */
export const terminateClient = (pipeDirectory: string, server: number, client: number): Effect.Effect<string, MpsFailure> =>
  mpsCommand(pipeDirectory, `terminate_client ${server} ${client}`, terminateMs)

/** A daemon that answers. */
export interface RunningDaemon {
  readonly pipeDirectory: string
  /** Undefined where it is of another process namespace. */
  readonly pid: number | undefined
}

/** The daemon's process as its pid file names it; undefined where there is none alive. */
const pidOf = (pipeDirectory: string): number | undefined => {
  try {
    const pid = Number.parseInt(fs.readFileSync(path.join(pipeDirectory, `${mpsControlName}.pid`), "utf8"), 10)
    return pid > 0 && isAlive(pid) ? pid : undefined
  } catch {
    return undefined
  }
}

/** The daemon of a directory, if it answers. */
export const daemonAt = (pipeDirectory: string): Effect.Effect<Option.Option<RunningDaemon>> =>
  Effect.suspend(() =>
    fs.existsSync(path.join(pipeDirectory, "control"))
      ? Effect.map(Effect.option(serverList(pipeDirectory)), Option.map(() => ({ pipeDirectory, pid: pidOf(pipeDirectory) })))
      : Effect.succeed(Option.none())
  )

/** Whether a daemon that someone else started serves this GPU too. By index it may be any: it is taken, and a runner on the wrong one fails. */
const servesGpu = ({ pid }: RunningDaemon, uuid: string): boolean => {
  try {
    const environment = fs.readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")
    const visible = environment.find((entry) => entry.startsWith("CUDA_VISIBLE_DEVICES="))?.slice("CUDA_VISIBLE_DEVICES=".length)
    return visible === undefined || visible.split(",").some((name) => /^\d+$/.test(name.trim()) || (name.trim() !== "" && uuid.startsWith(name.trim())))
  } catch {
    return true
  }
}

/** The daemon that serves a GPU already: that of `CUDA_MPS_PIPE_DIRECTORY`, ours, or that of the default directory. */
export const runningDaemon = (uuid: string, env: NodeJS.ProcessEnv = process.env): Effect.Effect<Option.Option<RunningDaemon>> => {
  const named = env["CUDA_MPS_PIPE_DIRECTORY"]
  const directories = [...(named === undefined || named === "" ? [] : [named]), ownPipeDirectory(uuid, env), defaultPipeDirectory]
  return Effect.reduce(directories, Option.none<RunningDaemon>(), (found, directory) =>
    Option.isSome(found) ? Effect.succeed(found) : Effect.map(daemonAt(directory), Option.filter((daemon) => servesGpu(daemon, uuid))))
}

/** Whether a daemon still lives; where its process cannot be seen it is asked. */
export const isDaemonAlive = ({ pid, pipeDirectory }: RunningDaemon): Effect.Effect<boolean> =>
  pid === undefined ? Effect.map(daemonAt(pipeDirectory), Option.isSome) : Effect.sync(() => isAlive(pid))
