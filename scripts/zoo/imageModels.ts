/** Convolutional networks on images of 224x224, 1000 classes, batch norm folded into the convolutions before it. */
import type { Tensor } from "./GraphBuilder.js"
import { GraphBuilder } from "./GraphBuilder.js"

/** Everything between the image and the classes. */
type Body = (g: GraphBuilder, image: Tensor) => string

const classes = 1000

const imageModel = (name: string, body: Body) => (weightsFile: string) => {
  const g = new GraphBuilder(weightsFile)
  body(g, { name: "input", channels: 3 })
  return {
    weights: g.weights,
    file: g.model(name, [{ name: "input", shape: ["batch", 3, 224, 224] }], [{ name: "output", shape: ["batch", classes] }])
  }
}

/** He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), 50 layers, the stride in the 3x3 convolution. */
const resnet50: Body = (g, image) => {
  let x = g.pool("Max", g.relu(g.conv(image, 64, 7, { stride: 2 })), 3, 2, 1)
  for (const [blocks, width, firstStride] of [[3, 64, 1], [4, 128, 2], [6, 256, 2], [3, 512, 2]] as const) {
    for (let i = 0; i < blocks; i++) {
      const stride = i === 0 ? firstStride : 1
      const narrow = g.relu(g.conv(g.relu(g.conv(x, width, 1)), width, 3, { stride }))
      const residual = g.conv(narrow, 4 * width, 1)
      x = g.relu(g.add(residual, i === 0 ? g.conv(x, 4 * width, 1, { stride }) : x))
    }
  }
  return g.dense(g.globalPool(x), 2048, classes, "output")
}

/** Simonyan, Zisserman: Very Deep Convolutional Networks (2014), configuration D. */
const vgg16: Body = (g, image) => {
  let x = image
  for (const [layers, width] of [[2, 64], [2, 128], [3, 256], [3, 512], [3, 512]] as const) {
    for (let i = 0; i < layers; i++) x = g.relu(g.conv(x, width, 3))
    x = g.pool("Max", x, 2, 2)
  }
  const flat = g.node("Flatten", [x.name], { axis: { i: 1 } })
  const hidden = g.node("Relu", [g.dense(flat, 512 * 7 * 7, 4096)])
  return g.dense(g.node("Relu", [g.dense(hidden, 4096, 4096)]), 4096, classes, "output")
}

/** Szegedy et al.: Going Deeper with Convolutions (2014), with 3x3 for the 5x5 branch and without the auxiliary classifiers. */
const googlenet: Body = (g, image) => {
  const inception = (x: Tensor, one: number, in3: number, out3: number, in5: number, out5: number, pooled: number): Tensor =>
    g.concat([
      g.relu(g.conv(x, one, 1)),
      g.relu(g.conv(g.relu(g.conv(x, in3, 1)), out3, 3)),
      g.relu(g.conv(g.relu(g.conv(x, in5, 1)), out5, 3)),
      g.relu(g.conv(g.pool("Max", x, 3, 1, 1), pooled, 1))
    ])
  let x = g.pool("Max", g.relu(g.conv(image, 64, 7, { stride: 2 })), 3, 2, 0, true)
  x = g.pool("Max", g.relu(g.conv(g.relu(g.conv(x, 64, 1)), 192, 3)), 3, 2, 0, true)
  x = inception(x, 64, 96, 128, 16, 32, 32)
  x = g.pool("Max", inception(x, 128, 128, 192, 32, 96, 64), 3, 2, 0, true)
  x = inception(x, 192, 96, 208, 16, 48, 64)
  x = inception(x, 160, 112, 224, 24, 64, 64)
  x = inception(x, 128, 128, 256, 24, 64, 64)
  x = inception(x, 112, 144, 288, 32, 64, 64)
  x = g.pool("Max", inception(x, 256, 160, 320, 32, 128, 128), 2, 2, 0, true)
  x = inception(x, 256, 160, 320, 32, 128, 128)
  x = inception(x, 384, 192, 384, 48, 128, 128)
  return g.dense(g.globalPool(x), 1024, classes, "output")
}

/** Expand, filter each channel, project; with a shortcut where shapes agree. */
const invertedResidual = (
  g: GraphBuilder,
  x: Tensor,
  width: number,
  expansion: number,
  kernel: number,
  stride: number,
  activation: (x: Tensor) => Tensor
): Tensor => {
  const wide = expansion === 1 ? x : activation(g.conv(x, x.channels * expansion, 1))
  const filtered = activation(g.conv(wide, wide.channels, kernel, { stride, groups: wide.channels }))
  const narrow = g.conv(filtered, width, 1)
  return stride === 1 && width === x.channels ? g.add(x, narrow) : narrow
}

/** Sandler et al.: MobileNetV2 (2018), width 1. */
const mobilenetV2: Body = (g, image) => {
  const relu6 = (x: Tensor) => g.relu6(x)
  let x = relu6(g.conv(image, 32, 3, { stride: 2 }))
  for (
    const [expansion, width, blocks, stride] of [
      [1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]
    ] as const
  ) {
    for (let i = 0; i < blocks; i++) x = invertedResidual(g, x, width, expansion, 3, i === 0 ? stride : 1, relu6)
  }
  return g.dense(g.globalPool(relu6(g.conv(x, 1280, 1))), 1280, classes, "output")
}

/** Tan et al.: MnasNet (2018), B1, depth multiplier 1. */
const mnasnet: Body = (g, image) => {
  const relu = (x: Tensor) => g.relu(x)
  const first = relu(g.conv(image, 32, 3, { stride: 2 }))
  let x = g.conv(relu(g.conv(first, 32, 3, { groups: 32 })), 16, 1)
  for (
    const [kernel, expansion, width, blocks, stride] of [
      [3, 3, 24, 3, 2], [5, 3, 40, 3, 2], [5, 6, 80, 3, 2], [3, 6, 96, 2, 1], [5, 6, 192, 4, 2], [3, 6, 320, 1, 1]
    ] as const
  ) {
    for (let i = 0; i < blocks; i++) x = invertedResidual(g, x, width, expansion, kernel, i === 0 ? stride : 1, relu)
  }
  return g.dense(g.globalPool(relu(g.conv(x, 1280, 1))), 1280, classes, "output")
}

/** Huang et al.: Densely Connected Convolutional Networks (2016), 161 layers: growth 48; the norms before a ReLU cannot be folded. */
const densenet161: Body = (g, image) => {
  const growth = 48
  let x = g.pool("Max", g.relu(g.conv(image, 96, 7, { stride: 2 })), 3, 2, 1)
  for (const [block, layers] of [6, 12, 36, 24].entries()) {
    for (let i = 0; i < layers; i++) {
      const bottleneck = g.relu(g.conv(g.relu(g.batchNorm(x)), 4 * growth, 1))
      x = g.concat([x, g.conv(bottleneck, growth, 3)])
    }
    if (block < 3) x = g.pool("Average", g.conv(g.relu(g.batchNorm(x)), x.channels / 2, 1), 2, 2)
  }
  return g.dense(g.globalPool(g.relu(g.batchNorm(x))), x.channels, classes, "output")
}

export const imageModels = {
  resnet50: imageModel("resnet50", resnet50),
  vgg16: imageModel("vgg16", vgg16),
  googlenet: imageModel("googlenet", googlenet),
  mobilenet_v2: imageModel("mobilenet_v2", mobilenetV2),
  mnasnet1_0: imageModel("mnasnet1_0", mnasnet),
  densenet161: imageModel("densenet161", densenet161)
}
