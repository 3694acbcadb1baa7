# A CUDA toolkit with NCCL, where there is one: REGATTA_HAS_CUDA, targets CUDA::cudart and NCCL::nccl. Their absence is no
# error unless REGATTA_CUDA is ON: the build goes without libregatta_cuda.so, and says so.
set(REGATTA_CUDA AUTO CACHE STRING "Build libregatta_cuda.so: AUTO (where toolkit and NCCL are found), ON, OFF")
set_property(CACHE REGATTA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(REGATTA_HAS_CUDA OFF)

if(REGATTA_TORCH AND NOT REGATTA_CUDA STREQUAL OFF)
  set(missing "")
  find_package(CUDAToolkit 13.0 QUIET)  # the version of libtorch's own runtime
  if(CUDAToolkit_FOUND AND TARGET CUDA::cudart)
    find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} $ENV{NCCL_HOME}/include)
    find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2
                 HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_ROOT}/lib $ENV{NCCL_HOME}/lib)
    if(NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
      set(REGATTA_HAS_CUDA ON)
      add_library(NCCL::nccl SHARED IMPORTED)
      set_target_properties(NCCL::nccl PROPERTIES IMPORTED_LOCATION ${NCCL_LIBRARY}
                            INTERFACE_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR})
      message(STATUS "CUDA ${CUDAToolkit_VERSION} with NCCL: libregatta_cuda.so is built")
    else()
      set(missing "a CUDA toolkit without NCCL (nccl.h, libnccl.so; NCCL_HOME may name its folder)")
    endif()
  else()
    set(missing "no CUDA toolkit 13")
  endif()
  if(missing AND REGATTA_CUDA STREQUAL AUTO)
    message(STATUS "${missing}: the build goes without libregatta_cuda.so")
  elseif(missing)
    message(FATAL_ERROR "REGATTA_CUDA=ON, but there is ${missing}")
  endif()
endif()
