"""The WIT world `lockgate:guest`, shipped as data beside this file: `guest.wit`."""
