# Puts the files of client/data/rules into the program, as the strings of embedded_rules.h.
set(embedded "#include \"client/data/embedded_rules.h\"\nnamespace cherry::client {\n")
foreach(rules Common:common Korean:ko English:en)
  string(REPLACE ":" ";" rules ${rules})
  list(GET rules 0 name)
  list(GET rules 1 file)
  set(path ${CMAKE_CURRENT_SOURCE_DIR}/rules/${file}.txt)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} text)
  string(APPEND embedded "const char k${name}Rules[] = R\"RULES(${text})RULES\";\n")
endforeach()
string(APPEND embedded "}  // namespace cherry::client\n")
# Generator expressions begin with "$<", and no rule has that.
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/embedded_rules.cc CONTENT "${embedded}")
target_sources(cherry_client_data PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded_rules.cc)

# The same of the modelling code that goes with exported models.
set(modeling ${CMAKE_CURRENT_SOURCE_DIR}/huggingface/modeling_cherry.py)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${modeling})
file(READ ${modeling} text)
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/embedded_modeling.cc CONTENT
  "#include \"client/data/export_form.h\"\nnamespace cherry::client {\nconst char kModelingCode[] = R\"PYTHON(${text})PYTHON\";\n}  // namespace cherry::client\n")
target_sources(cherry_client_data PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded_modeling.cc)
