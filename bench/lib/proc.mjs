/** What Linux says of processes: CPU time, memory, bytes read and written. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))

const statFields = (pid) => {
  const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
  return text.slice(text.lastIndexOf(")") + 2).split(" ")
}

/** A process and all its descendants that live now. */
export const processTree = (root) => {
  const children = new Map()
  for (const entry of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(statFields(entry)[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
    } catch {
      // It ended between the listing and the look.
    }
  }
  const tree = [root]
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]) ?? []))
  return tree
}

/** User and system time since the process began, in ms. */
export const cpuMs = (pid) => {
  const fields = statFields(pid)
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1000
}

/** The same of a process and all its descendants that live now, by process. */
export const treeCpuMs = (root) =>
  processTree(root).flatMap((pid) => {
    try {
      return [[pid, cpuMs(pid)]]
    } catch {
      // It ended between the listing and the look.
      return []
    }
  })

/** Proportional set size in bytes: shared pages count once over all processes that map them. */
export const pssBytes = (pid) => {
  const match = /^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))
  return Number(match[1]) * 1024
}

/** Bytes that passed through read and write calls of the process, sockets included. */
export const ioBytes = (pid) => {
  const text = fs.readFileSync(`/proc/${pid}/io`, "utf8")
  return { readBytes: Number(/rchar: (\d+)/.exec(text)[1]), writtenBytes: Number(/wchar: (\d+)/.exec(text)[1]) }
}

/** What the process calls itself, shortened. */
export const commandOf = (pid) => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, 3).map((part) => part.split("/").at(-1)).join(" ")
