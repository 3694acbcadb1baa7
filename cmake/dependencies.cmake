# Everything that comes from outside, as imported targets. Debian packages, but for libtorch (see ./dev setup).

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(JPEG REQUIRED)  # libjpeg-turbo
find_package(PNG REQUIRED)
find_package(Boost 1.81 REQUIRED)
pkg_check_modules(yaml_cpp REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(hwloc REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

if(REGATTA_TORCH)
  find_package(MPI REQUIRED COMPONENTS CXX)
  # The wheel's own CMake config wants a CUDA toolkit; its CPU half needs only these two libraries and, at run time, the
  # two small NVIDIA wheels beside it.
  set(TORCH_SITE ${CMAKE_SOURCE_DIR}/.deps/torch-site CACHE PATH "Folder with torch/ and nvidia/ from the wheels")
  if(NOT EXISTS ${TORCH_SITE}/torch/lib/libtorch_cpu.so)
    message(FATAL_ERROR "libtorch is not in ${TORCH_SITE}: run ./dev setup, or pass -DTORCH_SITE=DIR")
  endif()
  add_library(torch::c10 SHARED IMPORTED)
  set_target_properties(torch::c10 PROPERTIES IMPORTED_LOCATION ${TORCH_SITE}/torch/lib/libc10.so)
  add_library(torch::cpu SHARED IMPORTED)
  set_target_properties(torch::cpu PROPERTIES IMPORTED_LOCATION ${TORCH_SITE}/torch/lib/libtorch_cpu.so)
  target_include_directories(torch::cpu SYSTEM INTERFACE
      ${TORCH_SITE}/torch/include ${TORCH_SITE}/torch/include/torch/csrc/api/include)
  target_link_libraries(torch::cpu INTERFACE torch::c10)
  # The wheel brings its own headers of fmt, newer than Debian's library: what sees them takes them header-only.
  target_compile_definitions(torch::cpu INTERFACE FMT_HEADER_ONLY)
  # libtorch_cpu.so wants libcudart and libcupti, which the linker need not see.
  target_link_options(torch::cpu INTERFACE -Wl,--allow-shlib-undefined)
  set(CMAKE_BUILD_RPATH ${TORCH_SITE}/torch/lib ${TORCH_SITE}/nvidia/cu13/lib)
endif()

if(REGATTA_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
