// An NCCL that fails: preloaded, it answers the call number REGATTA_TEST_NCCL_FAULT of ncclAllReduce with an internal
// error, and passes on all others. Types as NCCL's, without its header.
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

typedef int (*AllReduce)(const void*, void*, size_t, int, int, void*, void*);

int ncclAllReduce(const void* from, void* to, size_t count, int type, int op, void* ranks, void* stream) {
  static long calls = 0;
  const char* const at = getenv("REGATTA_TEST_NCCL_FAULT");
  if (at != NULL && ++calls == atol(at)) return 3;  // ncclInternalError
  void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
  const AllReduce real = library == NULL ? NULL : (AllReduce)dlsym(library, "ncclAllReduce");
  return real == NULL ? 2 : real(from, to, count, type, op, ranks, stream);  // ncclSystemError
}
