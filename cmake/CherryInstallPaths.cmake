# Where installed libraries look for each other. Those of the wheels, and the build's, lead to folders of wheels; in a
# package each has the others beside it. CUDA's are not packaged: a host with GPUs unpacks their wheels, and that of
# torch, into /usr/local/lib/cherry (docs/debian.md).
set(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(wheels "$ORIGIN/../../local/lib/cherry")
foreach(library libtorch_cpu.so libc10.so)
  file(RPATH_SET FILE "${prefix}/lib/cherry/${library}" NEW_RPATH "$ORIGIN")
endforeach()
file(RPATH_SET FILE "${prefix}/bin/cherry-trainer" NEW_RPATH "$ORIGIN/../lib/cherry")
if(EXISTS "${prefix}/lib/cherry/libcherry_cuda.so")
  file(RPATH_SET FILE "${prefix}/lib/cherry/libcherry_cuda.so"
       NEW_RPATH "$ORIGIN:${wheels}/torch/lib:${wheels}/nvidia/cu13/lib:${wheels}/nvidia/nccl/lib")
endif()
