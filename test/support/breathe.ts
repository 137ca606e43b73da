/**
 * Lets the process hear between two tests: tests of pure code follow each other without ever leaving the event loop's turn, and vitest takes it for
 * dead when its answers wait for a minute.
 */
import { afterEach } from "vitest"

afterEach(() => new Promise<void>((resolve) => void setImmediate(resolve)))
