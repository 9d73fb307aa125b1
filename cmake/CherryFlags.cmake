# Flags of our own code, as a target, so that generated code and dependencies keep theirs.
add_library(cherry_flags INTERFACE)
target_include_directories(cherry_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(cherry_flags INTERFACE -Wall -Wextra -Werror)

# Sanitizers cover everything that does not link Torch. With their checks in between GCC takes initialised members for
# uninitialised ones (its manual says so of -Wmaybe-uninitialized); the other builds keep the warning.
if(CHERRY_SANITIZE)
  target_compile_options(cherry_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(CHERRY_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(CHERRY_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
