# cherry_embed(OUTPUT HEADER NAMESPACE DECLARATION NAME:PATH...): OUTPUT defines each NAME as HEADER declares it, with the
# content of the file at PATH. DECLARATION is what stands before the value, @ in it the name: "const char @[]".
# No content may have "$<", with which generator expressions begin.
function(cherry_embed output header namespace declaration)
  set(embedded "#include \"${header}\"\nnamespace ${namespace} {\n")
  foreach(entry ${ARGN})
    string(REPLACE ":" ";" entry ${entry})
    list(GET entry 0 name)
    list(GET entry 1 path)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} text)
    string(REPLACE "@" ${name} declared "${declaration}")
    string(APPEND embedded "${declared} = R\"EMBEDDED(${text})EMBEDDED\";\n")
  endforeach()
  string(APPEND embedded "}  // namespace ${namespace}\n")
  file(GENERATE OUTPUT ${output} CONTENT "${embedded}")
endfunction()
