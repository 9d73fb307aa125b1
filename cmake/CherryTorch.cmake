# Target `cherry_torch`: LibTorch's CPU library from the unpacked wheel, and Debian's Gloo before it.
#
# The wheel ships old protobuf headers, so its include folder comes last (-idirafter). libtorch_cpu.so
# exports Gloo symbols of its own that do not match libgloo-dev: Debian's Gloo must stand first on the
# link line, which this one target guarantees.
set(CHERRY_TORCH_LIB ${CHERRY_SITE}/torch/lib)
if(NOT EXISTS ${CHERRY_TORCH_LIB}/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch is not in ${CHERRY_SITE}: run deploy/setup.sh, or pass -DCHERRY_TORCH=OFF "
                      "to build without the trainer")
endif()
find_library(GLOO_LIBRARY gloo REQUIRED)

add_library(cherry_torch INTERFACE)
target_compile_options(cherry_torch INTERFACE
  "SHELL:-idirafter ${CHERRY_SITE}/torch/include"
  "SHELL:-idirafter ${CHERRY_SITE}/torch/include/torch/csrc/api/include")
target_link_libraries(cherry_torch INTERFACE
  ${GLOO_LIBRARY} ${CHERRY_TORCH_LIB}/libtorch_cpu.so ${CHERRY_TORCH_LIB}/libc10.so)
target_link_options(cherry_torch INTERFACE
  -Wl,--allow-shlib-undefined
  "-Wl,-rpath,${CHERRY_TORCH_LIB}"
  "-Wl,-rpath,${CHERRY_SITE}/nvidia/cu13/lib")

# cherry_use_torch_pch(TARGET): the precompiled header of worker/kernels, for a target that links cherry_torch.
# It is compiled with -fPIC; an executable's -fPIE would not match.
function(cherry_use_torch_pch target)
  target_precompile_headers(${target} REUSE_FROM cherry_torch_pch)
  target_compile_options(${target} PRIVATE -fPIC)
endfunction()
