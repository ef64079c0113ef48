"""Translation engines behind one interface: Argos packages, Apertium pairs, and the identity.

``choice`` decides which one a profile gets, before anything is translated.
"""
