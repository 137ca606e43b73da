import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { configFromEnv, defaultConfig, resolveConfig, settings } from "../../src/server/ServerConfig.js"

describe("ServerConfig", () => {
  it("every field has a setting with a default that decodes, and a variable of its own", () => {
    const resolved = Either.getOrThrow(resolveConfig({}))
    assert.deepStrictEqual(resolved.config, defaultConfig)
    assert.isTrue(resolved.settings.every(({ source }) => source === "default"))
    assert.strictEqual(new Set(settings.map(({ env }) => env)).size, settings.length)
    assert.strictEqual(defaultConfig.maxBodyBytes, 64 * 1024 * 1024)
  })

  it("flags come before the environment, that before the file, that before defaults", () => {
    const { config, settings } = Either.getOrThrow(resolveConfig({
      flags: { port: 1 },
      env: new Map([["GLET_PORT", "2"], ["GLET_HOST", "::1"], ["GLET_COMPAT_TRITON_ERRORS", "yes"]]),
      file: { port: 3, host: "0.0.0.0", gzipMinBytes: 5 }
    }))
    assert.strictEqual(config.port, 1)
    assert.strictEqual(config.host, "::1")
    assert.strictEqual(config.gzipMinBytes, 5)
    assert.isTrue(config.compatTritonErrors)
    const sources = new Map(settings.map(({ name, source }) => [name, source]))
    assert.deepStrictEqual(["port", "host", "gzipMinBytes", "maxConnections"].map((name) => sources.get(name as "port")), ["flag", "env", "file", "default"])
  })

  it("says which value is wrong, where it came from, and why", () => {
    const wrong = (sources: Parameters<typeof resolveConfig>[0]) => Either.getOrThrow(Either.flip(resolveConfig(sources)))
    const port = wrong({ env: new Map([["GLET_PORT", "70000"]]) })
    assert.include(port.message, "GLET_PORT (from env): cannot be \"70000\"")
    assert.strictEqual(wrong({ env: new Map([["GLET_PORT", "http"]]) }).setting, "GLET_PORT")
    assert.strictEqual(wrong({ env: new Map([["GLET_PORT", ""]]) }).setting, "GLET_PORT")
    assert.strictEqual(wrong({ file: { maxBodyBytes: -1 } }).source, "file")
    assert.include(wrong({ file: { prot: 1 } }).message, "is not a setting")
    assert.strictEqual(wrong({ file: JSON.parse("{\"__proto__\":1}") as object as Record<string, unknown> }).setting, "__proto__")
  })

  it.effect("reads Effect's ConfigProvider", () =>
    Effect.gen(function*() {
      const config = yield* configFromEnv
      assert.strictEqual(config.port, 9)
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["GLET_PORT", "9"]])))))
})
