# cherry_use_pch(TARGET NAME): one of the precompiled headers of cmake/pch, made when the first target asks for it.
# All are compiled with -fPIC; an executable's -fPIE would not match.
function(cherry_use_pch target name)
  if(NOT TARGET cherry_${name}_pch)
    add_library(cherry_${name}_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/pch/${name}.cc)
    target_link_libraries(cherry_${name}_pch PRIVATE cherry_flags cherry_proto absl::status absl::statusor
                          absl::strings absl::str_format absl::time)
    if(name STREQUAL "test")
      find_package(GTest REQUIRED)
      target_link_libraries(cherry_test_pch PRIVATE GTest::gmock GTest::gtest)
    endif()
    target_precompile_headers(cherry_${name}_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch/${name}.h)
  endif()
  target_precompile_headers(${target} REUSE_FROM cherry_${name}_pch)
  target_compile_options(${target} PRIVATE -fPIC)
endfunction()

# cherry_unite(TARGET FILES): compiles that many files at a time. What a file costs is mostly what its headers make the
# compiler generate, which no precompiled header saves.
#
# CMake's own UNITY_BUILD writes absolute paths, so that ccache would find nothing in another clone.
function(cherry_unite target files)
  if(NOT CHERRY_UNITE)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  set(count 0)
  foreach(source ${sources})
    cmake_path(ABSOLUTE_PATH source)
    set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
    set(root ${PROJECT_SOURCE_DIR})
    cmake_path(IS_PREFIX CMAKE_CURRENT_BINARY_DIR ${source} generated)
    if(generated)
      set(root ${CMAKE_CURRENT_BINARY_DIR})
    endif()
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${root})
    math(EXPR unit "${count} / ${files}")
    string(APPEND unit_${unit} "#include \"${source}\"\n")
    math(EXPR count "${count} + 1")
  endforeach()
  foreach(index RANGE ${unit})
    set(file ${CMAKE_CURRENT_BINARY_DIR}/${target}_${index}.cc)
    file(CONFIGURE OUTPUT ${file} CONTENT "${unit_${index}}" @ONLY)
    target_sources(${target} PRIVATE ${file})
  endforeach()
  # GCC takes the anonymous types of an included file for a header's.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()

# cherry_compile_lightly(TARGET): for code that runs a few times, or that -O2 makes no faster: a quarter less to compile.
function(cherry_compile_lightly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()
