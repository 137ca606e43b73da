/**
 * A file that lines are appended to while others turn it over: whoever renames or removes it finds the following lines in a new one of that name,
 * and whoever empties it in the same one; both begin with the header.
 */
import { type FileHandle, open, stat } from "node:fs/promises"

export class AppendedFile {
  private constructor(private readonly path: string, private readonly header: string, private handle: FileHandle) {}

  static async open(path: string, header: string): Promise<AppendedFile> {
    return new AppendedFile(path, header, await open(path, "a"))
  }

  /** Follows the name to the file that it stands for now, and makes one where there is none. One that cannot be opened leaves all as it was. */
  async follow(): Promise<void> {
    const [ours, named] = await Promise.all([this.handle.stat(), stat(this.path).catch(() => undefined)])
    if (named !== undefined && named.dev === ours.dev && named.ino === ours.ino) return
    const old = this.handle
    this.handle = await open(this.path, "a")
    await old.close()
  }

  async append(text: string): Promise<void> {
    const { size } = await this.handle.stat()
    await this.handle.writeFile(size === 0 ? this.header + text : text)
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}
