# Installs the programs, and makes Debian packages of them: cherry-client, cherry-coordinator, cherry-worker.
# deploy/package.sh builds what is needed and runs CPack. Nothing here is part of a normal build.
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # packing builds no tests
set(CHERRY_PACKAGE_RELEASE 1 CACHE STRING "Debian revision of the packages")
set(debian ${PROJECT_SOURCE_DIR}/deploy/debian)
set(made ${PROJECT_BINARY_DIR}/packaging)
set(private_libraries lib/cherry)  # not GNUInstallDirs': Debian's multiarch folders are for public libraries
set(components client coordinator worker)

# ---- what is made of the programs: manual pages, completions, the changelog ----

set(made_files)
set(wrapped ${CMAKE_COMMAND} -E env TZ=UTC LC_ALL=C.UTF-8 bash ${debian}/made.sh)
function(cherry_make file)
  add_custom_command(OUTPUT ${made}/${file} COMMAND ${wrapped} ${made}/${file} ${ARGN}
                     DEPENDS ${debian}/made.sh ${debian}/cherry-trainer.1 ${debian}/changelog ${programs})
  set(made_files ${made_files} ${made}/${file} PARENT_SCOPE)
endfunction()
set(programs cherry cherry-coordinator cherry-worker)
cherry_make(cherry.1.gz manual $<TARGET_FILE:cherry> "trains compute-efficient language models")
cherry_make(cherry-coordinator.1.gz manual $<TARGET_FILE:cherry-coordinator> "owns the jobs of a Cherry cluster")
cherry_make(cherry-worker.1.gz manual $<TARGET_FILE:cherry-worker> "runs the training processes of one host")
cherry_make(cherry-trainer.1.gz compressed ${debian}/cherry-trainer.1)
cherry_make(changelog.gz compressed ${debian}/changelog)
cherry_make(completion.bash completion $<TARGET_FILE:cherry> bash)
cherry_make(completion.zsh completion $<TARGET_FILE:cherry> zsh)
add_custom_target(cherry-packaging DEPENDS ${made_files})
add_dependencies(cherry-packaging cherry cherry-coordinator cherry-worker)

# ---- what goes where ----

install(TARGETS cherry RUNTIME COMPONENT client)
install(TARGETS cherry-coordinator RUNTIME COMPONENT coordinator)
install(TARGETS cherry-worker RUNTIME COMPONENT worker)
install(FILES ${made}/completion.bash DESTINATION share/bash-completion/completions RENAME cherry COMPONENT client)
install(FILES ${made}/completion.zsh DESTINATION share/zsh/vendor-completions RENAME _cherry COMPONENT client)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION share/doc/cherry-client COMPONENT client)
install(FILES ${made}/cherry.1.gz DESTINATION share/man/man1 COMPONENT client)
install(FILES ${made}/cherry-coordinator.1.gz DESTINATION share/man/man1 COMPONENT coordinator)
install(FILES ${made}/cherry-worker.1.gz ${made}/cherry-trainer.1.gz DESTINATION share/man/man1 COMPONENT worker)
foreach(component ${components})
  install(FILES ${debian}/copyright DESTINATION share/doc/cherry-${component} COMPONENT ${component})
  install(FILES ${made}/changelog.gz DESTINATION share/doc/cherry-${component} RENAME changelog.Debian.gz
          COMPONENT ${component})
  install(FILES ${debian}/cherry-${component}.lintian-overrides DESTINATION share/lintian/overrides
          RENAME cherry-${component} COMPONENT ${component})
endforeach()
foreach(component coordinator worker)
  # CPack installs with DESTDIR and the prefix /usr; the absolute places are Debian's, wherever the prefix is.
  install(FILES ${debian}/cherry-${component}.service DESTINATION /lib/systemd/system COMPONENT ${component})
  install(FILES ${debian}/${component}.conf DESTINATION /etc/cherry COMPONENT ${component})
  install(FILES ${debian}/cherry.sysusers DESTINATION lib/sysusers.d RENAME cherry-${component}.conf
          COMPONENT ${component})
endforeach()

if(CHERRY_TORCH)
  install(TARGETS cherry-trainer RUNTIME COMPONENT worker)
  set(torch ${CHERRY_SITE}/torch/lib)
  set(cuda13 ${CHERRY_SITE}/nvidia/cu13/lib)
  install(PROGRAMS ${torch}/libtorch_cpu.so ${torch}/libc10.so ${torch}/libgomp.so.1
                   ${cuda13}/libcudart.so.13 ${cuda13}/libcupti.so.13
          PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ
          DESTINATION ${private_libraries} COMPONENT worker)
  file(GLOB torch_licenses ${CHERRY_SITE}/torch-*.dist-info/licenses)
  file(GLOB cuda_license ${CHERRY_SITE}/nvidia_cuda_runtime-*.dist-info/licenses/License.txt)
  foreach(name LICENSE NOTICE)
    install(FILES ${torch_licenses}/${name} DESTINATION share/doc/cherry-worker RENAME torch-${name} COMPONENT worker)
  endforeach()
  install(FILES ${cuda_license} DESTINATION share/doc/cherry-worker RENAME nvidia-cuda-LICENSE COMPONENT worker)
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/wheels.txt ${PROJECT_SOURCE_DIR}/deploy/wheels-cuda.txt
          DESTINATION share/cherry COMPONENT worker)
  if(TARGET cherry_cuda)
    install(TARGETS cherry_cuda LIBRARY DESTINATION ${private_libraries} COMPONENT worker)
    add_dependencies(cherry-packaging cherry_cuda)
  endif()
  install(SCRIPT cmake/CherryInstallPaths.cmake COMPONENT worker)
  add_dependencies(cherry-packaging cherry-trainer)
endif()

# ---- the packages ----

foreach(component ${components})
  set(CHERRY_PACKAGE cherry-${component})
  set(scripts)
  if(NOT component STREQUAL client)
    foreach(script postinst prerm postrm)
      configure_file(${debian}/${script}.in ${made}/${component}/${script} @ONLY
        FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
      list(APPEND scripts ${made}/${component}/${script})
    endforeach()
    file(WRITE ${made}/${component}/conffiles "/etc/cherry/${component}.conf\n")
    list(APPEND scripts ${made}/${component}/conffiles)
  endif()
  string(TOUPPER ${component} name)
  set(CPACK_DEBIAN_${name}_PACKAGE_NAME cherry-${component})
  set(CPACK_DEBIAN_${name}_PACKAGE_CONTROL_EXTRA "${scripts}")
  set(CPACK_DEBIAN_${name}_PACKAGE_SHLIBDEPS ON)
endforeach()
set(sysusers "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_COORDINATOR_PACKAGE_DEPENDS ${sysusers})
set(CPACK_DEBIAN_WORKER_PACKAGE_DEPENDS ${sysusers})
set(CPACK_DEBIAN_CLIENT_PACKAGE_SUGGESTS "cherry-coordinator, cherry-worker")
set(CPACK_DEBIAN_COORDINATOR_PACKAGE_SUGGESTS "cherry-client")
set(CPACK_DEBIAN_WORKER_PACKAGE_SUGGESTS "python3-pip")
set(CPACK_COMPONENT_CLIENT_DESCRIPTION "command line of Cherry, training of language models
Submits training jobs to a Cherry cluster, watches and explains them, and
prepares their data. Sampling from a checkpoint and a cluster on this machine
(cherry local) also need the packages of the daemons.")
set(CPACK_COMPONENT_COORDINATOR_DESCRIPTION "coordinator of Cherry, training of language models
The one daemon of a cluster that owns jobs, workers and checkpoints: it
schedules, keeps every decision in a synced store, and answers the command
line over gRPC.")
set(CPACK_COMPONENT_WORKER_DESCRIPTION "worker of Cherry, training of language models
The daemon of each host that trains: it starts, watches and ends the training
processes of this host. Brings LibTorch for CPUs. A host with GPUs needs the
libraries of CUDA besides, which this package does not bring.")
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${CHERRY_PACKAGE_RELEASE})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "Cherry maintainers <maintainers@users.noreply.r-seed-8e2cf95e.example>")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CHERRY_SITE}/torch/lib ${CHERRY_SITE}/nvidia/cu13/lib
    ${CHERRY_SITE}/nvidia/nccl/lib ${CHERRY_SITE}/nvidia/cudnn/lib ${CHERRY_SITE}/nvidia/cusparselt/lib
    ${CHERRY_SITE}/nvidia/nvshmem/lib)
set(CPACK_PACKAGE_NAME cherry)
set(CPACK_PACKAGE_VENDOR Cherry)
set(CPACK_PACKAGE_DIRECTORY ${made})
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)
include(CPack)
