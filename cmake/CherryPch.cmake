# cherry_use_pch(TARGET NAME): one of the precompiled headers of cmake/pch, made when the first target asks for it.
# All are compiled with -fPIC; an executable's -fPIE would not match.
function(cherry_use_pch target name)
  if(NOT TARGET cherry_${name}_pch)
    add_library(cherry_${name}_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/pch/${name}.cc)
    target_link_libraries(cherry_${name}_pch PRIVATE cherry_flags cherry_proto absl::status absl::statusor
                          absl::strings absl::str_format absl::time)
    if(name STREQUAL "grpc")
      target_link_libraries(cherry_grpc_pch PRIVATE cherry_grpc)
    elseif(name STREQUAL "test")
      find_package(GTest REQUIRED)
      target_link_libraries(cherry_test_pch PRIVATE GTest::gmock GTest::gtest)
    endif()
    target_precompile_headers(cherry_${name}_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch/${name}.h)
  endif()
  target_precompile_headers(${target} REUSE_FROM cherry_${name}_pch)
  target_compile_options(${target} PRIVATE -fPIC)
endfunction()

# cherry_unite(TARGET FILES): compiles that many files at a time. For headers whose cost is what they make the compiler
# generate in each file, which no precompiled header saves: CLI11's, and LibTorch's.
function(cherry_unite target files)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
endfunction()
