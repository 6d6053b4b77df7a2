# What is installed, and the Debian package: cmake --install, cpack.

# The unit of one app and the template for several are the same but for their names.
function(install_units unit config of_instance)
  set(UNIT ${unit})
  set(CONFIG ${config})
  set(OF_INSTANCE "${of_instance}")
  string(REPLACE "@NAME" "@" file ${unit})
  foreach(type service timer)
    set(generated ${PROJECT_BINARY_DIR}/systemd/${file}.${type})
    configure_file(${PROJECT_SOURCE_DIR}/scripts/systemd/calib-cleanup.${type}.in ${generated}
      @ONLY)
    install(FILES ${generated} DESTINATION lib/systemd/system)
  endforeach()
endfunction()
if(CALIB_CLEANUP_SYSTEM STREQUAL "linux")
  install_units(calib-cleanup /etc/calib-cleanup/calib-cleanup.toml "")
  install_units(calib-cleanup@NAME /etc/calib-cleanup/%i.toml " of %i")
endif()
set(agent ${PROJECT_BINARY_DIR}/launchd/calib-cleanup.plist)
configure_file(${PROJECT_SOURCE_DIR}/scripts/launchd/calib-cleanup.plist.in ${agent} @ONLY)
if(CALIB_CLEANUP_SYSTEM STREQUAL "macos")
  install(FILES ${agent} DESTINATION ${CMAKE_INSTALL_DATADIR}/calib-cleanup)
endif()

install(TARGETS calib-cleanup RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES man/calib-cleanup.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES scripts/app/cleanup.py DESTINATION ${CMAKE_INSTALL_DATADIR}/calib-cleanup)
install(FILES scripts/completions/calib-cleanup.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME calib-cleanup)
install(FILES scripts/completions/calib-cleanup.zsh
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _calib-cleanup)
install(FILES scripts/completions/calib-cleanup.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES scripts/package/calib-cleanup.toml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES scripts/cron/calib-cleanup
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples RENAME cron.d)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT
  "calib-cleanup maintainers <maintainers@calib-cleanup.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "delete expired calibration sessions of a web app")
set(CPACK_PACKAGE_DESCRIPTION
  "A camera-calibration web app keeps each upload session as rows in a database
(SQLite or PostgreSQL) and as a directory of images. calib-cleanup deletes the
sessions that have expired, records and directory together or not at all,
directories that no session claims, and records whose session is gone.
.
A systemd timer, switched off until it is told whose folder to clean, runs
it at start-up and every hour.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Loaded for a PostgreSQL database alone, so shlibdeps does not see it.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS libpq5)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(package_files ${PROJECT_SOURCE_DIR}/scripts/package)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${package_files}/postinst ${package_files}/prerm ${package_files}/postrm
  ${package_files}/conffiles)
set(CPACK_PRE_BUILD_SCRIPTS ${package_files}/debianize.cmake)
set(CPACK_PROJECT_CONFIG_FILE ${package_files}/generator.cmake)
include(CPack)
