/** The functions of libcuda.so.1 that are called, as koffi is told of them. */

/** The functions, as of CUDA 12.8 and later. Pointers and handles travel as 64-bit numbers, except where the driver writes through them. */
export const signatures = {
  cuInit: "int cuInit(unsigned int flags)",
  cuDriverGetVersion: "int cuDriverGetVersion(void *version)",
  cuGetErrorName: "int cuGetErrorName(int error, _Out_ const char **name)",
  cuDeviceGet: "int cuDeviceGet(void *device, int ordinal)",
  cuDeviceGetName: "int cuDeviceGetName(void *name, int length, int device)",
  cuDeviceGetAttribute: "int cuDeviceGetAttribute(void *value, int attribute, int device)",
  cuDeviceTotalMem: "int cuDeviceTotalMem_v2(void *bytes, int device)",
  cuDevicePrimaryCtxRetain: "int cuDevicePrimaryCtxRetain(void *context, int device)",
  cuCtxSetCurrent: "int cuCtxSetCurrent(uint64_t context)",
  cuCtxGetStreamPriorityRange: "int cuCtxGetStreamPriorityRange(void *least, void *greatest)",
  cuMemGetInfo: "int cuMemGetInfo_v2(void *free, void *total)",
  cuMemHostRegister: "int cuMemHostRegister_v2(uint64_t address, uint64_t bytes, unsigned int flags)",
  cuMemHostUnregister: "int cuMemHostUnregister(uint64_t address)",
  cuMemHostAlloc: "int cuMemHostAlloc(void *address, uint64_t bytes, unsigned int flags)",
  cuMemFreeHost: "int cuMemFreeHost(uint64_t address)",
  cuMemAlloc: "int cuMemAlloc_v2(void *pointer, uint64_t bytes)",
  cuMemFree: "int cuMemFree_v2(uint64_t pointer)",
  cuMemsetD8: "int cuMemsetD8_v2(uint64_t pointer, uint8_t value, uint64_t bytes)",
  cuPointerGetAttribute: "int cuPointerGetAttribute(void *value, int attribute, uint64_t pointer)",
  cuDeviceGetDevResource: "int cuDeviceGetDevResource(int device, void *resource, int type)",
  cuDevSmResourceSplitByCount:
    "int cuDevSmResourceSplitByCount(void *result, void *groups, void *input, void *remainder, unsigned int flags, unsigned int least)",
  cuDevResourceGenerateDesc: "int cuDevResourceGenerateDesc(void *description, void *resources, unsigned int count)",
  cuGreenCtxCreate: "int cuGreenCtxCreate(void *context, uint64_t description, int device, unsigned int flags)",
  cuGreenCtxDestroy: "int cuGreenCtxDestroy(uint64_t context)",
  cuGreenCtxGetDevResource: "int cuGreenCtxGetDevResource(uint64_t context, void *resource, int type)",
  cuGreenCtxStreamCreate: "int cuGreenCtxStreamCreate(void *stream, uint64_t context, unsigned int flags, int priority)",
  cuStreamCreateWithPriority: "int cuStreamCreateWithPriority(void *stream, unsigned int flags, int priority)",
  cuStreamSynchronize: "int cuStreamSynchronize(uint64_t stream)",
  cuStreamDestroy: "int cuStreamDestroy_v2(uint64_t stream)",
  cuEventCreate: "int cuEventCreate(void *event, unsigned int flags)",
  cuEventDestroy: "int cuEventDestroy_v2(uint64_t event)",
  cuEventRecord: "int cuEventRecord(uint64_t event, uint64_t stream)",
  cuEventQuery: "int cuEventQuery(uint64_t event)",
  cuStreamWaitEvent: "int cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned int flags)",
  cuMemcpyHtoDAsync: "int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream)",
  cuMemcpyDtoHAsync: "int cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream)",
  cuModuleLoadData: "int cuModuleLoadData(void *module, const char *image)",
  cuModuleGetFunction: "int cuModuleGetFunction(void *made, uint64_t module, const char *name)",
  cuLaunchKernel:
    "int cuLaunchKernel(uint64_t kernel, uint32_t x, uint32_t y, uint32_t z, uint32_t tx, uint32_t ty, uint32_t tz, uint32_t shared, uint64_t stream, void *parameters, void *extra)",
  cuStreamBeginCapture: "int cuStreamBeginCapture_v2(uint64_t stream, int mode)",
  cuStreamEndCapture: "int cuStreamEndCapture(uint64_t stream, void *graph)",
  cuGraphGetNodes: "int cuGraphGetNodes(uint64_t graph, void *nodes, void *count)",
  cuGraphNodeGetType: "int cuGraphNodeGetType(uint64_t node, void *type)",
  cuGraphMemcpyNodeGetParams: "int cuGraphMemcpyNodeGetParams(uint64_t node, void *params)",
  cuGraphMemcpyNodeSetParams: "int cuGraphMemcpyNodeSetParams(uint64_t node, void *params)",
  cuGraphInstantiate: "int cuGraphInstantiateWithFlags(void *executable, uint64_t graph, uint64_t flags)",
  cuGraphLaunch: "int cuGraphLaunch(uint64_t executable, uint64_t stream)",
  cuGraphDestroy: "int cuGraphDestroy(uint64_t graph)",
  cuGraphExecDestroy: "int cuGraphExecDestroy(uint64_t executable)"
} as const

/** Absent from older drivers: without them graphs run to their end. */
export const preemptionSignatures = {
  cuMemHostGetDevicePointer: "int cuMemHostGetDevicePointer_v2(void *pointer, uint64_t address, unsigned int flags)",
  cuStreamWaitValue32: "int cuStreamWaitValue32_v2(uint64_t stream, uint64_t address, uint32_t value, unsigned int flags)"
} as const

/** Absent from older drivers: without it every piece is a call. */
export const batchSignature =
  "int cuMemcpyBatchAsync(void *to, void *from, void *bytes, uint64_t count, void *attributes, void *indices, uint64_t kinds, void *failed, uint64_t stream)"
