# Puts the files of coordinator/page into the program, as the texts of assets.h.
set(embedded "#include \"coordinator/page/assets.h\"\nnamespace cherry::coordinator::page {\n")
foreach(asset IndexHtml:index.html PageCss:page.css PageJs:page.js ViewsJs:views.js JobJs:job.js
        PartsJs:parts.js ChartJs:chart.js IconSvg:icon.svg)
  string(REPLACE ":" ";" asset ${asset})
  list(GET asset 0 name)
  list(GET asset 1 file)
  set(path ${CMAKE_CURRENT_LIST_DIR}/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} text)
  string(APPEND embedded "const absl::string_view k${name} = R\"ASSET(${text})ASSET\";\n")
endforeach()
string(APPEND embedded "}  // namespace cherry::coordinator::page\n")
# Generator expressions begin with "$<", and no asset may have that.
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/page_assets.cc CONTENT "${embedded}")
