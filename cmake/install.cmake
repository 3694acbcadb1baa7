# `./dev install DIR`: a tree that runs wherever it is copied to, as long as the host has glibc and libstdc++ as new as this
# machine's and an MPI of its own, which the cluster's launcher knows: bin/ finds lib/ beside it, libtorch included.
if(NOT TARGET regatta-worker)
  return()
endif()

# RPATH, not RUNPATH: only an RPATH is handed on to libraries that name others without saying where they are.
foreach(program regatta regatta-worker)
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
  set_target_properties(${program} PROPERTIES INSTALL_RPATH "\$ORIGIN/../lib")
endforeach()
install(TARGETS regatta regatta-worker RUNTIME DESTINATION bin)
install(FILES LICENSE README.md DESTINATION share/regatta)
install(DIRECTORY jobs/examples/ DESTINATION share/regatta/examples)
file(GLOB licenses ${TORCH_SITE}/torch-*.dist-info ${TORCH_SITE}/nvidia_cuda_*.dist-info)
install(DIRECTORY ${licenses} DESTINATION share/regatta/licenses)

set(REGATTA_PROGRAMS $<TARGET_FILE:regatta> $<TARGET_FILE:regatta-worker>)
install(CODE "
  file(GET_RUNTIME_DEPENDENCIES
    EXECUTABLES ${REGATTA_PROGRAMS}
    RESOLVED_DEPENDENCIES_VAR libraries
    UNRESOLVED_DEPENDENCIES_VAR missing
    PRE_EXCLUDE_REGEXES [=[^ld-linux]=] [=[^lib(c|m|dl|rt|pthread|util|resolv|stdc\\+\\+|gcc_s)\\.so]=] [=[^lib(mpi|open-rte|open-pal)]=])
  if(missing)
    message(FATAL_ERROR \"not found: \${missing}\")
  endif()
  foreach(library \${libraries})
    file(INSTALL \${library} DESTINATION \${CMAKE_INSTALL_PREFIX}/lib TYPE SHARED_LIBRARY FOLLOW_SYMLINK_CHAIN)
  endforeach()
")
